! SPDX-License-Identifier: MIT
!> put and get for a model's real32 arrays
module hcl_move_real32
  use, intrinsic :: iso_c_binding, only: c_f_pointer, c_loc
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64, fk => real32
  use mpi_f08, only: MPI_Wtime
  use hcl_accumulate, only: accumulate, accumulates, check_date, reduced
  use hcl_error, only: hcl_error_type, raise
  use hcl_exchange, only: begin_get, begin_put, check_call, end_get, end_put, &
    on_points, slot_of
  use hcl_protocol, only: direction_in, direction_out, direction_static, header_length, &
    operation_instant
  use hcl_state, only: coupler, exchange_type, patch_type, peer_type, route_type, treatment_type
  implicit none (type, external)
  private
  public :: put_1d, put_2d, put_3d, get_1d, get_2d, get_3d

contains

  include 'hcl_move.inc'
end module hcl_move_real32

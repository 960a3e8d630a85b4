! SPDX-License-Identifier: MIT
!> Halocline's Fortran client: couples an MPI model to Python workers in the same mpirun.
!>
!> hcl_init, hcl_define_grid (or _points, _segments), hcl_define_field, hcl_start; every step hcl_put
!> and hcl_get; hcl_write_restart where the model writes its own; hcl_finalize. Dates are integer
!> seconds since the model's origin and name the start of a step. Every call takes an optional last
!> argument `error` (type(hcl_error_type), allocatable); without it a failure prints and ends the job.
module halocline
  use hcl_control, only: hcl_finalize, hcl_write_restart
  use hcl_define, only: hcl_define_field, hcl_define_grid, hcl_define_points, hcl_define_segments, &
    hcl_in, hcl_out, hcl_static
  use hcl_error, only: hcl_abort, hcl_error_type
  use hcl_handshake, only: hcl_start
  use hcl_move_real32, only: get_1d_real32 => get_1d, get_2d_real32 => get_2d, &
    get_3d_real32 => get_3d, put_1d_real32 => put_1d, put_2d_real32 => put_2d, put_3d_real32 => put_3d
  use hcl_move_real64, only: get_1d_real64 => get_1d, get_2d_real64 => get_2d, &
    get_3d_real64 => get_3d, put_1d_real64 => put_1d, put_2d_real64 => put_2d, put_3d_real64 => put_3d
  use hcl_world, only: hcl_init
  implicit none (type, external)
  private
  public :: hcl_init, hcl_define_grid, hcl_define_points, hcl_define_segments, hcl_define_field
  public :: hcl_out, hcl_in, hcl_static, hcl_start
  public :: hcl_put, hcl_get, hcl_write_restart, hcl_finalize, hcl_abort, hcl_error_type

  !> hcl_put(id, date, field [, error]): field(x, y) or field(x, y, level), real32 or real64; on a
  !> grid of points or segments field(point) or field(point, level)
  interface hcl_put
    procedure put_1d_real32, put_2d_real32, put_3d_real32, put_1d_real64, put_2d_real64, put_3d_real64
  end interface hcl_put

  !> hcl_get(id, date, field, received [, error])
  interface hcl_get
    procedure get_1d_real32, get_2d_real32, get_3d_real32, get_1d_real64, get_2d_real64, get_3d_real64
  end interface hcl_get
end module halocline

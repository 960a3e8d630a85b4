! SPDX-License-Identifier: MIT
!> Somebody else's model: sends a row of numbers, gets twice of each back.
program model
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use halocline, only: hcl_abort, hcl_define_field, hcl_define_grid, hcl_finalize, hcl_get, hcl_in, &
    hcl_init, hcl_out, hcl_put, hcl_start
  use mpi_f08, only: MPI_Comm
  implicit none (type, external)
  integer, parameter :: nx = 6
  type(MPI_Comm) :: comm
  integer :: grid, sent, answer, i
  real(real64) :: x(nx, 1), y(nx, 1)
  logical :: received

  x(:, 1) = [(real(i, real64), i=1, nx)]
  y = 0
  call hcl_init('model', comm)
  call hcl_define_grid(grid, 'grid', nx, 1, [1, nx, 1, 1], 0)
  call hcl_define_field(sent, 'x', grid, hcl_out)
  call hcl_define_field(answer, 'y', grid, hcl_in)
  call hcl_start()
  call hcl_put(sent, 0_int64, x)
  call hcl_get(answer, 0_int64, y, received)
  call hcl_finalize()
  if (any(abs(y - 2*x) > 0)) error stop 'model: got other numbers than twice its own'
  print '(a)', 'model: every number came back twice as large'
end program model

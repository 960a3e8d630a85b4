! SPDX-License-Identifier: MIT
!> The model of `halocline bench inference`: puts u and v, waits for su and sv, and computes nothing
!> in between. Prints the seconds of each step.
!> Usage: halocline_inference_bench NX NY NZ STEPS
program inference_bench
  use, intrinsic :: iso_fortran_env, only: int64, output_unit, real64
  use halocline, only: hcl_abort, hcl_define_field, hcl_define_grid, hcl_finalize, hcl_get, hcl_in, &
    hcl_init, hcl_out, hcl_put, hcl_start
  use mpi_f08, only: MPI_Comm, MPI_Wtime
  implicit none (type, external)
  integer, parameter :: halo = 2   !< of the model's own arrays
  type(MPI_Comm) :: comm
  integer :: nx, ny, nz, steps, step, grid, id_u, id_v, id_su, id_sv
  real(real64), allocatable :: u(:, :, :), v(:, :, :), su(:, :, :), sv(:, :, :)
  real(real64) :: begun
  logical :: got(2)

  nx = argument(1); ny = argument(2); nz = argument(3); steps = argument(4)
  call hcl_init('model', comm)
  call hcl_define_grid(grid, 'grid', nx, ny, [1, nx, 1, ny], halo)
  call hcl_define_field(id_u, 'u', grid, hcl_out, levels=nz)
  call hcl_define_field(id_v, 'v', grid, hcl_out, levels=nz)
  call hcl_define_field(id_su, 'su', grid, hcl_in, levels=nz)
  call hcl_define_field(id_sv, 'sv', grid, hcl_in, levels=nz)
  call hcl_start()
  allocate (u(1 - halo:nx + halo, 1 - halo:ny + halo, nz))
  allocate (v, su, sv, mold=u)
  call random_number(u)
  call random_number(v)

  do step = 0, steps - 1
    u(1, 1, 1) = step
    begun = MPI_Wtime()
    call hcl_put(id_u, int(step, int64), u)
    call hcl_put(id_v, int(step, int64), v)
    call hcl_get(id_su, int(step, int64), su, got(1))
    call hcl_get(id_sv, int(step, int64), sv, got(2))
    print '(a,es14.6)', 'coupled', MPI_Wtime() - begun
    flush (output_unit)
    if (.not. all(got)) call hcl_abort('inference_bench: an answer did not come')
  end do
  call hcl_finalize()

contains

  integer function argument(place)
    integer, intent(in) :: place
    character(32) :: value

    call get_command_argument(place, value)
    read (value, *) argument
  end function argument
end program inference_bench

! SPDX-License-Identifier: MIT
!> The model of `halocline bench overlap`: at each step it puts a field, gets an answer, as a model
!> that needs it does, and computes for a given time: a diffusion of its field, again and again.
!> Usage: halocline_overlap_bench NX NY NZ STEPS MICROSECONDS
program overlap_bench
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use halocline, only: hcl_abort, hcl_define_field, hcl_define_grid, hcl_finalize, hcl_get, hcl_in, &
    hcl_init, hcl_out, hcl_put, hcl_start
  use mpi_f08, only: MPI_Comm, MPI_Comm_rank, MPI_Comm_size, MPI_Wtime
  implicit none (type, external)
  type(MPI_Comm) :: comm
  integer :: nx, ny, nz, steps, step, rank, ranks, box(4), grid, id_a, id_b, k
  real(real64), allocatable :: a(:, :, :), b(:, :, :)
  real(real64) :: until, seconds
  logical :: got

  nx = argument(1); ny = argument(2); nz = argument(3); steps = argument(4)
  seconds = 1e-6_real64*argument(5)
  call hcl_init('model', comm)
  call MPI_Comm_rank(comm, rank)
  call MPI_Comm_size(comm, ranks)
  box = [nx*rank/ranks + 1, nx*(rank + 1)/ranks, 1, ny]
  call hcl_define_grid(grid, 'grid', nx, ny, box, 0)
  call hcl_define_field(id_a, 'a', grid, hcl_out, levels=nz)
  call hcl_define_field(id_b, 'b', grid, hcl_in, levels=nz)
  call hcl_start()
  allocate (a(box(2) - box(1) + 1, ny, nz), source=1.0_real64)
  allocate (b, mold=a)
  b = 0
  do step = 0, steps - 1
    call hcl_put(id_a, int(step, int64), a)
    call hcl_get(id_b, int(step, int64), b, got)
    if (.not. got) call hcl_abort('overlap_bench: no answer')
    until = MPI_Wtime() + seconds
    do while (MPI_Wtime() < until)
      do k = 1, nz
        if (MPI_Wtime() < until) call diffuse(a(:, :, k))
      end do
    end do
  end do
  call hcl_finalize()

contains

  integer function argument(place)
    integer, intent(in) :: place
    character(32) :: value

    call get_command_argument(place, value)
    read (value, *) argument
  end function argument

  !> The mean of the neighbours, inside
  subroutine diffuse(field)
    real(real64), intent(inout) :: field(:, :)
    integer :: n, m

    n = size(field, 1); m = size(field, 2)
    field(2:n - 1, 2:m - 1) = 0.25_real64*(field(:n - 2, 2:m - 1) + field(3:, 2:m - 1) &
      + field(2:n - 1, :m - 2) + field(2:n - 1, 3:))
  end subroutine diffuse
end program overlap_bench

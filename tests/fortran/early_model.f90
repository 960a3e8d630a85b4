! SPDX-License-Identifier: MIT
!> A model that puts `b` only when the worker has said that it has read `a` of the same exchange, and
!> asks for its two answers in either order. Usage: early_model NX NY NZ STEPS, one rank of many
program early_model
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use halocline, only: hcl_abort, hcl_define_field, hcl_define_grid, hcl_finalize, hcl_get, hcl_in, &
    hcl_init, hcl_out, hcl_put, hcl_start
  use mpi_f08, only: MPI_Comm, MPI_COMM_WORLD, MPI_INTEGER, MPI_STATUS_IGNORE, MPI_Comm_rank, &
    MPI_Comm_size, MPI_Recv
  implicit none (type, external)
  integer, parameter :: tag_read = 77
  type(MPI_Comm) :: comm
  integer :: nx, ny, nz, steps, rank, ranks, jobs, box(4), grid, a, b, c, d, step, w, nothing(1)
  real(real64), allocatable :: values(:, :, :)
  integer(int64) :: date

  nx = argument(1); ny = argument(2); nz = argument(3); steps = argument(4)
  call hcl_init('model', comm)
  call MPI_Comm_rank(comm, rank)
  call MPI_Comm_size(comm, ranks)
  call MPI_Comm_size(MPI_COMM_WORLD, jobs)
  box = [nx*rank/ranks + 1, nx*(rank + 1)/ranks, 1, ny]
  call hcl_define_grid(grid, 'grid', nx, ny, box, 0)
  call hcl_define_field(a, 'a', grid, hcl_out, levels=nz)
  call hcl_define_field(b, 'b', grid, hcl_out, levels=nz)
  call hcl_define_field(c, 'c', grid, hcl_in, levels=nz)
  call hcl_define_field(d, 'd', grid, hcl_in, levels=nz)
  call hcl_start()
  do step = 0, steps - 1
    date = step
    if (modulo(step, 2) == 0) then
      call hcl_put(a, date, field(1))
      do w = ranks, jobs - 1
        call MPI_Recv(nothing, 1, MPI_INTEGER, w, tag_read, MPI_COMM_WORLD, MPI_STATUS_IGNORE)
      end do
      call hcl_put(b, date, field(2))
      call get(c, 1)
      call get(d, 2)
    else
      call hcl_put(b, date, field(2))   ! the later field of the exchange first
      call hcl_put(a, date, field(1))
      call get(d, 2)
      call get(c, 1)
    end if
  end do
  call hcl_finalize()
  if (rank == 0) print '(a)', 'early_model: every value as expected'

contains

  integer function argument(place)
    integer, intent(in) :: place
    character(32) :: value

    call get_command_argument(place, value)
    read (value, *) argument
  end function argument

  function field(number)
    integer, intent(in) :: number
    real(real64), allocatable :: field(:, :, :)
    integer :: i, j, k

    allocate (field(box(1):box(2), ny, nz))
    do k = 1, nz
      do j = 1, ny
        do i = box(1), box(2)
          field(i, j, k) = number*1000000 + 10000*step + 1000*k + 20*j + i
        end do
      end do
    end do
  end function field

  !> An answer is twice what was put.
  subroutine get(id, number)
    integer, intent(in) :: id, number
    logical :: received

    values = field(number)
    values = -1
    call hcl_get(id, date, values, received)
    if (.not. received) call hcl_abort('no answer')
    if (any(values /= 2*field(number))) call hcl_abort('the answer has other values than expected')
  end subroutine get
end program early_model

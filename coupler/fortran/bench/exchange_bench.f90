! SPDX-License-Identifier: MIT
!> The model of `halocline bench exchange`: in turn a coupled exchange of one field, there and back,
!> and raw contiguous MPI of as many float64 values between the same ranks. Prints seconds.
!> Usage: halocline_exchange_bench NX NY NZ STEPS
program exchange_bench
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use halocline, only: hcl_abort, hcl_define_field, hcl_define_grid, hcl_finalize, hcl_get, hcl_in, &
    hcl_init, hcl_out, hcl_put, hcl_start
  use mpi_f08, only: MPI_Comm, MPI_Request, MPI_COMM_WORLD, MPI_DOUBLE_PRECISION, MPI_INTEGER8, MPI_MAX, &
    MPI_STATUSES_IGNORE, MPI_STATUS_IGNORE, MPI_Barrier, MPI_Comm_rank, MPI_Comm_size, MPI_Irecv, &
    MPI_Isend, MPI_Recv, MPI_Reduce, MPI_Waitall, MPI_Wtime
  implicit none (type, external)
  integer, parameter :: tag_counts = 1, tag_there = 2, tag_back = 3
  integer, parameter :: halo = 2   !< of the model's own arrays
  type(MPI_Comm) :: comm
  type(MPI_Request), allocatable :: requests(:)
  integer :: nx, ny, nz, steps, step, rank, ranks, all_ranks, box(4), grid, id_a, id_b, workers, w
  integer(int64), allocatable :: counts(:, :)
  real(real64), allocatable :: a(:, :, :), b(:, :, :), sent(:, :), received(:, :)
  real(real64) :: begun, seconds(2), slowest(2)
  logical :: got

  nx = argument(1); ny = argument(2); nz = argument(3); steps = argument(4)
  call hcl_init('model', comm)
  call MPI_Comm_rank(comm, rank)
  call MPI_Comm_size(comm, ranks)
  call MPI_Comm_size(MPI_COMM_WORLD, all_ranks)
  workers = all_ranks - ranks
  box = [nx*rank/ranks + 1, nx*(rank + 1)/ranks, 1, ny]
  call hcl_define_grid(grid, 'grid', nx, ny, box, halo)
  call hcl_define_field(id_a, 'a', grid, hcl_out, levels=nz)
  call hcl_define_field(id_b, 'b', grid, hcl_in, levels=nz)
  call hcl_start()
  allocate (a(1 - halo:box(2) - box(1) + 1 + halo, 1 - halo:ny + halo, nz), source=0.0_real64)
  allocate (b, mold=a)
  allocate (counts(2, workers), requests(2*workers))
  do w = 1, workers   ! float64 values there and back with each worker
    call MPI_Recv(counts(:, w), 2, MPI_INTEGER8, ranks + w - 1, tag_counts, MPI_COMM_WORLD, MPI_STATUS_IGNORE)
  end do
  allocate (sent(maxval(counts), workers), source=1.0_real64)
  allocate (received, mold=sent)

  do step = 0, steps - 1
    ! the workers compute anew in the first and last two steps: what is timed moves values only
    call fill(merge(0, 1, step < steps - 2))
    b(:, :, :) = 0
    call MPI_Barrier(MPI_COMM_WORLD)
    begun = MPI_Wtime()
    call hcl_put(id_a, int(step, int64), a)
    call hcl_get(id_b, int(step, int64), b, got)
    seconds(1) = MPI_Wtime() - begun
    associate (cells => box(2) - box(1) + 1)
      if (.not. got .or. any(b(1:cells, 1:ny, :) /= 2*a(1:cells, 1:ny, :))) then
        call hcl_abort('exchange_bench: the answer has other values than expected')
      end if
    end associate
    call MPI_Barrier(MPI_COMM_WORLD)
    begun = MPI_Wtime()
    call raw()
    seconds(2) = MPI_Wtime() - begun
    call MPI_Reduce(seconds, slowest, 2, MPI_DOUBLE_PRECISION, MPI_MAX, 0, comm)
    if (rank == 0) print '(a,2es14.6)', 'seconds', slowest
  end do
  call hcl_finalize()

contains

  integer function argument(place)
    integer, intent(in) :: place
    character(32) :: value

    call get_command_argument(place, value)
    read (value, *) argument
  end function argument

  !> Whole numbers below 2**23, exact in float32
  subroutine fill(number)
    integer, intent(in) :: number
    integer :: i, j, k

    do k = 1, nz
      do j = 1, ny
        do i = 1, box(2) - box(1) + 1
          a(i, j, k) = real(mod(i + 7*j + 13*k + 17*number, 65536), real64)
        end do
      end do
    end do
  end subroutine fill

  subroutine raw()
    do w = 1, workers
      call MPI_Irecv(received(:, w), int(counts(2, w)), MPI_DOUBLE_PRECISION, ranks + w - 1, tag_back, &
        MPI_COMM_WORLD, requests(w))
    end do
    do w = 1, workers
      call MPI_Isend(sent(:, w), int(counts(1, w)), MPI_DOUBLE_PRECISION, ranks + w - 1, tag_there, &
        MPI_COMM_WORLD, requests(workers + w))
    end do
    call MPI_Waitall(2*workers, requests, MPI_STATUSES_IGNORE)
  end subroutine raw
end program exchange_bench

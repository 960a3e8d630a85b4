! SPDX-License-Identifier: MIT
!> The model of `halocline bench exchange`: in turn a coupled exchange of one field, there and back,
!> and raw contiguous MPI of as many float64 values between the same ranks. Prints seconds. Ranks of the
!> job behind the model's and the workers' take turns with them; who is not measured sleeps.
!> Usage: halocline_exchange_bench NX NY NZ STEPS WORKERS
program exchange_bench
  use, intrinsic :: iso_c_binding, only: c_int
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use halocline, only: hcl_abort, hcl_define_field, hcl_define_grid, hcl_finalize, hcl_get, hcl_in, &
    hcl_init, hcl_out, hcl_put, hcl_start
  use mpi_f08, only: MPI_Comm, MPI_Request, MPI_COMM_WORLD, MPI_DOUBLE_PRECISION, MPI_INTEGER8, MPI_MAX, &
    MPI_REQUEST_NULL, MPI_STATUSES_IGNORE, MPI_STATUS_IGNORE, MPI_Barrier, MPI_Comm_rank, MPI_Comm_size, &
    MPI_Comm_split, MPI_Finalize, MPI_Ibarrier, MPI_Init, MPI_Irecv, MPI_Isend, MPI_Recv, MPI_Reduce, &
    MPI_Test, MPI_Waitall, MPI_Wtime
  implicit none (type, external)
  interface
    integer(c_int) function c_usleep(microseconds) bind(c, name='usleep')
      import :: c_int
      implicit none (type, external)
      integer(c_int), intent(in), value :: microseconds
    end function c_usleep
  end interface
  integer, parameter :: tag_counts = 1, tag_there = 2, tag_back = 3
  integer, parameter :: halo = 2   !< of the model's own arrays
  integer, parameter :: colour_coupled = 0   !< the model and the workers, of turns.py
  integer, parameter :: pause = 1000   !< [microseconds]
  type(MPI_Comm) :: comm, pair   !< the model's ranks; with the workers'
  type(MPI_Request), allocatable :: requests(:)
  integer :: nx, ny, nz, steps, step, rank, ranks, all_ranks, box(4), grid, id_a, id_b, workers, w
  logical :: alone
  integer(int64), allocatable :: counts(:, :)
  real(real64), allocatable :: a(:, :, :), b(:, :, :), sent(:, :), received(:, :)
  real(real64) :: begun, seconds(2), slowest(2)
  logical :: got

  nx = argument(1); ny = argument(2); nz = argument(3); steps = argument(4); workers = argument(5)
  call MPI_Init()
  call MPI_Comm_size(MPI_COMM_WORLD, all_ranks)
  call MPI_Comm_rank(MPI_COMM_WORLD, rank)
  call MPI_Comm_split(MPI_COMM_WORLD, colour_coupled, rank, pair)
  call hcl_init('model', comm, pair)
  call MPI_Comm_rank(comm, rank)
  call MPI_Comm_size(comm, ranks)
  alone = all_ranks == ranks + workers
  box = [nx*rank/ranks + 1, nx*(rank + 1)/ranks, 1, ny]
  call hcl_define_grid(grid, 'grid', nx, ny, box, halo)
  call hcl_define_field(id_a, 'a', grid, hcl_out, levels=nz)
  call hcl_define_field(id_b, 'b', grid, hcl_in, levels=nz)
  call hcl_start()
  allocate (a(1 - halo:box(2) - box(1) + 1 + halo, 1 - halo:ny + halo, nz), source=0.0_real64)
  allocate (b, mold=a)
  allocate (counts(2, workers))
  allocate (requests(2*workers), source=MPI_REQUEST_NULL)
  do w = 1, workers   ! float64 values there and back with each worker
    call MPI_Recv(counts(:, w), 2, MPI_INTEGER8, ranks + w - 1, tag_counts, pair, MPI_STATUS_IGNORE)
  end do
  allocate (sent(maxval(counts), workers), source=1.0_real64)
  allocate (received, mold=sent)

  do step = 0, steps - 1
    call take_turn()
    ! the workers compute anew in the first and last two steps: what is timed moves values only
    call fill(merge(0, 1, step < steps - 2))
    b(:, :, :) = 0
    call MPI_Barrier(pair)
    begun = MPI_Wtime()
    call hcl_put(id_a, int(step, int64), a)
    call hcl_get(id_b, int(step, int64), b, got)
    seconds(1) = MPI_Wtime() - begun
    associate (cells => box(2) - box(1) + 1)
      if (.not. got .or. any(b(1:cells, 1:ny, :) /= 2*a(1:cells, 1:ny, :))) then
        call hcl_abort('exchange_bench: the answer has other values than expected')
      end if
    end associate
    call MPI_Barrier(pair)
    begun = MPI_Wtime()
    call raw()
    seconds(2) = MPI_Wtime() - begun
    call MPI_Reduce(seconds, slowest, 2, MPI_DOUBLE_PRECISION, MPI_MAX, 0, comm)
    if (rank == 0) print '(2es14.6)', slowest
    call take_turn()
  end do
  call hcl_finalize()
  call MPI_Finalize()

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

  !> Waits for all of the job without using a core; at once if there are only model and workers.
  subroutine take_turn()
    type(MPI_Request) :: request
    logical :: here
    integer(c_int) :: ignored

    if (alone) return
    call MPI_Ibarrier(MPI_COMM_WORLD, request)
    do
      call MPI_Test(request, here, MPI_STATUS_IGNORE)
      if (here) exit
      ignored = c_usleep(int(pause, c_int))
    end do
  end subroutine take_turn

  subroutine raw()
    do w = 1, workers
      if (counts(2, w) == 0) cycle
      call MPI_Irecv(received(:, w), int(counts(2, w)), MPI_DOUBLE_PRECISION, ranks + w - 1, tag_back, &
        pair, requests(w))
    end do
    do w = 1, workers
      if (counts(1, w) == 0) cycle
      call MPI_Isend(sent(:, w), int(counts(1, w)), MPI_DOUBLE_PRECISION, ranks + w - 1, tag_there, &
        pair, requests(workers + w))
    end do
    call MPI_Waitall(2*workers, requests, MPI_STATUSES_IGNORE)
  end subroutine raw
end program exchange_bench

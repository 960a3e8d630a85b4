! SPDX-License-Identifier: MIT
!> A model whose ranks list their cells, and whose every value is known; the index-list counterpart
!> of exchange_model. Usage: points_model NX NY NZ STEPS DT LAG HOLES KIND, where HOLES is 0 or 1 and
!> KIND is points, or segments (the same lists as runs of at most 3 cells). lists.txt has a line for
!> each rank: number of cells, then their indices, counted from 1.
program points_model
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use halocline, only: hcl_abort, hcl_define_field, hcl_define_points, hcl_define_segments, &
    hcl_finalize, hcl_get, hcl_in, hcl_init, hcl_out, hcl_put, hcl_start, hcl_static
  use mpi_f08, only: MPI_Comm, MPI_Comm_rank
  implicit none (type, external)
  type(MPI_Comm) :: comm
  integer :: nx, ny, nz, steps, rank, grid, ids(5), n, unit, points
  integer(int64) :: dt, lag, date, holes
  integer(int64), allocatable :: indices(:), starts(:), lengths(:)
  real(real64), allocatable :: a(:, :), u(:, :), answer(:, :), expected(:, :), flat(:)
  real(real32), allocatable :: top(:)
  character(16) :: kind_of_lists
  logical :: received

  nx = int(argument(1)); ny = int(argument(2)); nz = int(argument(3)); steps = int(argument(4))
  dt = argument(5); lag = argument(6); holes = argument(7)
  call get_command_argument(8, kind_of_lists)
  call hcl_init('model', comm)
  call MPI_Comm_rank(comm, rank)
  open (newunit=unit, file='lists.txt', action='read')
  do n = 1, rank
    read (unit, *)
  end do
  read (unit, *) points
  allocate (indices(points))
  backspace (unit)
  read (unit, *) points, indices
  close (unit)

  if (kind_of_lists == 'points') then
    call hcl_define_points(grid, 'grid', nx, ny, indices, holes=holes == 1)
  else
    call cut_in_segments()
    call hcl_define_segments(grid, 'grid', nx, ny, starts, lengths, holes=holes == 1)
  end if
  call hcl_define_field(ids(1), 'a', grid, hcl_out, levels=nz)
  call hcl_define_field(ids(2), 'u', grid, hcl_out, levels=nz)
  call hcl_define_field(ids(3), 'flat', grid, hcl_static)
  call hcl_define_field(ids(4), 'answer', grid, hcl_in, levels=nz)
  call hcl_define_field(ids(5), 'top', grid, hcl_in)
  call hcl_start()
  a = field(1_int64, 3, 1)
  flat = a(:, 1)
  call hcl_put(ids(3), 0_int64, flat)
  do n = 0, steps - 1
    date = n*dt
    a = field(date, 1, nz)
    u = field(date, 2, nz)
    call hcl_put(ids(1), date, a)
    call hcl_put(ids(2), date, u)
    a = -1; u = -1   ! a put that returned must not read the array again
    answer = 0*a - 7
    top = real(answer(:, 1), real32)
    call hcl_get(ids(4), date, answer, received)
    if (.not. received) call hcl_abort('no answer at a date at which it is due')
    call hcl_get(ids(5), date, top, received)
    expected = 2*field(date - lag*dt, 1, nz) + 1
    if (n < lag) expected = 0
    if (any(answer /= expected)) call hcl_abort('the answer has other values than expected')
    if (any(top /= expected(:, nz))) call hcl_abort('top has other values than expected')
  end do
  call hcl_finalize()
  if (rank == 0) print '(a)', 'points_model: every value as expected'

contains

  integer(int64) function argument(place)
    integer, intent(in) :: place
    character(32) :: value

    call get_command_argument(place, value)
    read (value, *) argument
  end function argument

  subroutine cut_in_segments()
    integer :: place

    allocate (starts(1), lengths(1), source=0_int64)   ! an empty segment is none
    starts(1) = 1
    do place = 1, points
      if (indices(place) == starts(size(starts)) + lengths(size(lengths)) .and. &
          lengths(size(lengths)) < 3) then
        lengths(size(lengths)) = lengths(size(lengths)) + 1
      else
        starts = [starts, indices(place)]
        lengths = [lengths, 1_int64]
      end if
    end do
  end subroutine cut_in_segments

  !> Values of a field on this rank's points, small whole numbers: exact in float32
  function field(date_of, number, levels)
    integer(int64), intent(in) :: date_of
    integer, intent(in) :: number, levels
    real(real64) :: field(points, levels)
    integer(int64) :: i, j
    integer :: k, point

    do k = 1, levels
      do point = 1, points
        i = modulo(indices(point) - 1, int(nx, int64)) + 1
        j = (indices(point) - 1)/nx + 1
        field(point, k) = real(modulo(date_of, 991_int64) + 7*number + 13*i + 1009*j + 3*k, real64)
      end do
    end do
  end function field
end program points_model

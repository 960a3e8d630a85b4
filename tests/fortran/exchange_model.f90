! SPDX-License-Identifier: MIT
!> A model with boxes from a file whose every value is known: each rank puts numbers made of
!> (date, field, i, j, k), and checks that it gets twice what was put `lag` periods earlier, plus 1.
!> Usage: exchange_model NX NY NZ HALO START STEPS DT PERIOD LAG KIND [PIVOT HOLES]; PIVOT T or F for a
!> north fold, else none; HOLES 1: nobody owns the cells between the boxes. boxes.txt has a line for
!> each rank, restart.txt, if there, the name of the restart to start from.
program exchange_model
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use halocline, only: hcl_abort, hcl_define_field, hcl_define_grid, hcl_finalize, hcl_get, hcl_in, &
    hcl_init, hcl_out, hcl_put, hcl_start, hcl_static, hcl_write_restart
  use mpi_f08, only: MPI_Comm, MPI_Comm_rank
  implicit none (type, external)
  type(MPI_Comm) :: comm
  integer :: nx, ny, nz, halo, steps, lag, bits, rank, box(4), grid, ids(5), n, unit, status
  integer(int64) :: start, dt, period, date, due, first
  character(256) :: restart
  character(8) :: pivot
  real(real64), allocatable :: a(:, :, :), b(:, :, :), flat(:, :), answer(:, :, :)
  real(real32), allocatable :: a4(:, :, :), answer4(:, :, :)
  logical :: received

  nx = int(argument(1)); ny = int(argument(2)); nz = int(argument(3)); halo = int(argument(4))
  start = argument(5); steps = int(argument(6)); dt = argument(7); period = argument(8)
  lag = int(argument(9)); bits = int(argument(10))
  call get_command_argument(11, pivot)
  call hcl_init('model', comm)
  call MPI_Comm_rank(comm, rank)
  open (newunit=unit, file='boxes.txt', action='read')
  do n = 0, rank
    read (unit, *) box
  end do
  close (unit)
  restart = ''
  open (newunit=unit, file='restart.txt', action='read', status='old', iostat=status)
  if (status == 0) read (unit, '(a)') restart

  call hcl_define_grid(grid, 'grid', nx, ny, box, halo, holes=argument(12) == 1)
  call hcl_define_field(ids(1), 'a', grid, hcl_out, levels=nz)
  call hcl_define_field(ids(2), 'b', grid, hcl_out, levels=nz)
  call hcl_define_field(ids(3), 'flat', grid, hcl_static)
  call hcl_define_field(ids(4), 'answer', grid, hcl_in, levels=nz)
  call hcl_define_field(ids(5), 'unused', grid, hcl_out, levels=nz)
  call hcl_start(start, restart)

  flat = reshape(field(1_int64, 3, 1), shape=[box(2) - box(1) + 1 + 2*halo, box(4) - box(3) + 1 + 2*halo])
  call hcl_put(ids(3), start, flat)
  allocate (answer(size(flat, 1), size(flat, 2), nz))
  first = start + modulo(-start, period)
  do n = 0, steps - 1
    date = start + n*dt
    a = field(date, 1, nz)
    b = field(date, 2, nz)
    if (bits == 32) then
      a4 = real(a, real32)
      call hcl_put(ids(1), date, a4)
      a4 = -1
    else
      call hcl_put(ids(1), date, a)
    end if
    call hcl_put(ids(5), date, a)
    call hcl_put(ids(2), date, b)
    a = -1; b = -1   ! a put that returned must not read the array again
    answer = -7
    if (bits == 32) then
      answer4 = real(answer, real32)
      call hcl_get(ids(4), date, answer4, received)
      answer = answer4
    else
      call hcl_get(ids(4), date, answer, received)
    end if
    if (received .neqv. modulo(date, period) == 0) call hcl_abort('got an answer that is not due')
    due = date - lag*period
    if (.not. received) then
      if (any(answer /= -7)) call hcl_abort('an array changed although nothing was due')
    else
      call check(due, due < first .and. restart == '')
    end if
  end do
  call hcl_write_restart(start + steps*dt, 'restart.nc')
  call hcl_finalize()
  if (rank == 0) print '(a)', 'exchange_model: every value as expected'

contains

  integer(int64) function argument(place)
    integer, intent(in) :: place
    character(32) :: value

    argument = 0
    if (place > command_argument_count()) return
    call get_command_argument(place, value)
    read (value, *) argument
  end function argument

  !> Values of a field on this rank with its halo, small whole numbers: exact in float32. The
  !> halo's cells are poison: a coupler that reads them is wrong. As in any model, the right half of
  !> a row that meets itself holds what its left half holds; of the folds, `a` meets itself with T.
  function field(date_of, number, levels)
    integer(int64), intent(in) :: date_of
    integer, intent(in) :: number, levels
    real(real64) :: field(box(1) - halo:box(2) + halo, box(3) - halo:box(4) + halo, levels)
    integer :: i, j, k, column

    field = 1e30_real64
    do k = 1, levels
      do j = box(3), box(4)
        do i = box(1), box(2)
          column = i
          if (number == 1 .and. pivot == 'T' .and. j == ny) column = min(i, nx + 2 - i)
          field(i, j, k) = real(modulo(date_of, 991_int64) + 7*number + 13*column + 1009*j + 3*k, &
            real64)
        end do
      end do
    end do
  end function field

  subroutine check(date_of_inputs, expect_zero)
    integer(int64), intent(in) :: date_of_inputs
    logical, intent(in) :: expect_zero
    real(real64), allocatable :: expected(:, :, :)

    expected = 2*field(date_of_inputs, 1, nz) + 1
    if (expect_zero) expected = 0
    associate (inner => answer(halo + 1:size(answer, 1) - halo, halo + 1:size(answer, 2) - halo, :), &
               right => expected(halo + 1:size(answer, 1) - halo, halo + 1:size(answer, 2) - halo, :))
      if (any(inner /= right)) call hcl_abort('the answer has other values than expected')
      if (count(answer == -7) /= size(answer) - size(inner)) call hcl_abort('the halo was written')
    end associate
  end subroutine check
end program exchange_model

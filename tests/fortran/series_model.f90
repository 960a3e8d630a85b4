! SPDX-License-Identifier: MIT
!> A model whose fields change from step to step in a known way: what a worker receives as an
!> average, a sum or an extreme over many steps it can compute itself. The answers `slow` and
!> `quick` of a worker are known, too, and come with scale, offset, a range of levels, other periods.
!> Reads its case from case.nml.
program series_model
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use halocline, only: hcl_abort, hcl_define_field, hcl_define_grid, hcl_finalize, hcl_get, hcl_in, &
    hcl_init, hcl_out, hcl_put, hcl_start, hcl_static, hcl_write_restart
  use mpi_f08, only: MPI_Comm, MPI_Comm_rank
  implicit none (type, external)
  integer, parameter :: outputs = 6
  type(MPI_Comm) :: comm
  integer :: nx, ny, nz, halo, bits, wire, steps, levels(2), boxes(4, 8), lag(2)
  integer(int64) :: origin, start, dt, period(2), date
  real(real64) :: scale(2), offset(2)
  character(64) :: restart
  namelist /case/ nx, ny, nz, halo, bits, wire, origin, start, steps, dt, levels, boxes, lag, &
    period, scale, offset, restart
  integer :: rank, box(4), grid, put_ids(outputs), get_ids(2), flat, n, f, unit
  character(*), parameter :: put_names(outputs) = [character(8) :: 'now', 'average', 'sum', 'low', &
    'high', 'other']
  real(real64), allocatable :: answer(:, :, :)

  open (newunit=unit, file='case.nml', action='read')
  read (unit, nml=case)
  close (unit)
  call hcl_init('model', comm)
  call MPI_Comm_rank(comm, rank)
  box = boxes(:, rank + 1)
  call hcl_define_grid(grid, 'grid', nx, ny, box, halo)
  do f = 1, outputs
    call hcl_define_field(put_ids(f), trim(put_names(f)), grid, hcl_out, levels=nz)
  end do
  call hcl_define_field(flat, 'flat', grid, hcl_static)
  call hcl_define_field(get_ids(1), 'slow', grid, hcl_in, levels=nz)
  call hcl_define_field(get_ids(2), 'quick', grid, hcl_in, levels=nz)
  call hcl_start(start, restart)
  call hcl_put(flat, start, reshape(series(origin, 7, 1), shape=[box(2) - box(1) + 1 + 2*halo, &
    box(4) - box(3) + 1 + 2*halo]))
  do n = 0, steps - 1
    date = start + n*dt
    do f = 1, outputs
      if (bits == 32) then
        call hcl_put(put_ids(f), date, real(series(date, f, nz), real32))
      else
        call hcl_put(put_ids(f), date, series(date, f, nz))
      end if
    end do
    do f = 1, 2
      call get(f)
    end do
  end do
  call hcl_write_restart(start + steps*dt, 'restart.nc')
  call hcl_finalize()
  if (rank == 0) print '(a)', 'series_model: every value as expected'

contains

  !> Not exact in binary: the order of a sum, and of its restart, shows in the last bits. The halo's
  !> cells are poison.
  function series(at, number, count)
    integer(int64), intent(in) :: at
    integer, intent(in) :: number, count
    real(real64) :: series(box(1) - halo:box(2) + halo, box(3) - halo:box(4) + halo, count)
    real(real64) :: changing
    integer :: i, j, k

    series = 1e30_real64
    changing = 0.3_real64*modulo(7*(at/dt) + number, 5_int64)
    do k = 1, count
      do j = box(3), box(4)
        do i = box(1), box(2)
          series(i, j, k) = 0.1_real64*(i + 10*j + 100*k + 1000*number) + changing
        end do
      end do
    end do
  end function series

  !> Answer `f`, 8 or 9 as numbers: the worker's series, scaled and shifted on the levels that travel
  subroutine get(f)
    integer, intent(in) :: f
    real(real64), allocatable :: expected(:, :, :), received(:, :, :)
    real(real32), allocatable :: single(:, :, :)
    logical :: due
    integer :: first, last

    first = merge(levels(1), 1, f == 1)
    last = merge(levels(2), nz, f == 1)
    answer = 0*series(date, f, nz) - 7
    if (bits == 32) then
      single = real(answer, real32)
      call hcl_get(get_ids(f), date, single, due)
      answer = single
    else
      call hcl_get(get_ids(f), date, answer, due)
    end if
    if (due .neqv. modulo(date, period(f)) == 0) call hcl_abort('got an answer at another date')
    expected = 0*answer - 7
    if (due) then
      received = series(date - lag(f)*period(f), 7 + f, nz)
      if (date - lag(f)*period(f) < origin) received = 0
      if (wire == 32) received = real(received, real32)
      if (bits == 32) then
        received = real(received, real32)*real(scale(f), real32) + real(offset(f), real32)
      else
        received = received*scale(f) + offset(f)
      end if
      associate (i1 => halo + 1, i2 => size(answer, 1) - halo, j1 => halo + 1, j2 => size(answer, 2) - halo)
        expected(i1:i2, j1:j2, first:last) = received(i1:i2, j1:j2, first:last)
      end associate
    end if
    if (any(answer /= expected)) call hcl_abort('an answer has other values than expected')
  end subroutine get
end program series_model

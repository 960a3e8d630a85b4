! SPDX-License-Identifier: MIT
!> Output streams: instants or averages of the state, one global file each.
!>
!> Sums are not in restarts: an average that a restart cuts covers the steps after it, and its time
!> bounds say so.
module ocean_output
  use netcdf, only: nf90_get_att, nf90_get_var, nf90_inq_dimid, nf90_inq_varid, nf90_inquire_dimension, &
    nf90_open, nf90_put_var, nf90_sync, nf90_write
  use ocean_config, only: config_type, max_streams, word
  use ocean_domain, only: domain_type, gather_to_root, global_any
  use ocean_grid, only: grid_type
  use ocean_job, only: abort_run
  use ocean_kinds, only: dates, wp
  use ocean_netcdf, only: check, close_file, has_variable, write_field
  use ocean_state, only: state_type
  use ocean_stream_file, only: cell_methods, create_stream_file, write_grid_file
  implicit none (type, external)
  private

  public :: output_type, open_output, write_output, close_output

  type :: stream_type
    character(:), allocatable :: file
    integer :: every = 1                 !< [steps]
    logical :: average = .false.         !< over (t - every, t]
    integer :: id = -1                   !< NetCDF, on rank 0
    integer :: record = 0                !< last one written
    integer :: count = 0                 !< steps summed
    integer(dates) :: start = 0          !< of the sum [s]
    real(wp), allocatable, dimension(:, :, :) :: u, v, h, su, sv   !< sums of an average
  end type stream_type

  type :: output_type
    type(stream_type), allocatable :: streams(:)
  end type output_type

contains

  !> Open all streams and write the first instants. A restarted run goes on in files that exist.
  subroutine open_output(config, domain, grid, state, output)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(state_type), intent(in) :: state
    type(output_type), intent(out) :: output
    character(:), allocatable :: stem
    integer :: s

    stem = trim(config%experiment%directory)//'/'//trim(config%experiment%name)//'_'
    if (config%output%grid_file) call write_grid_file(config, domain, grid, stem//'grid.nc')
    allocate (output%streams(count(config%output%stream_name /= '')))
    do s = 1, size(output%streams)
      associate (stream => output%streams(s))
        stream%file = stem//trim(config%output%stream_name(s))//'.nc'
        stream%every = config%output%stream_every(s)
        stream%average = config%output%stream_operation(s) == 'average'
        call open_stream(config, domain, grid, state, stream)
        if (stream%average) then
          allocate (stream%u, stream%v, stream%h, stream%su, stream%sv, mold=state%u)
          call clear_sums(state, stream)
        else if (mod(state%step, int(stream%every, dates)) == 0) then
          call write_record(config, domain, stream, state%date, state%date, 1.0_wp, &
            state%u, state%v, state%h, state%su, state%sv)
        end if
      end associate
    end do
  end subroutine open_output

  subroutine open_stream(config, domain, grid, state, stream)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(state_type), intent(in) :: state
    type(stream_type), intent(inout) :: stream
    real(wp), allocatable :: times(:)
    integer :: dimension, variable, length
    logical :: exists

    exists = .false.
    if (domain%rank == 0) inquire (file=stream%file, exist=exists)
    exists = global_any(domain, exists)   ! a late rank would see what rank 0 has created by then
    if (config%time%restart_from == '' .or. .not. exists) then
      call create_stream_file(config, domain, grid, stream%file, stream%average, stream%id)
    else if (domain%rank == 0) then
      call check(nf90_open(stream%file, nf90_write, stream%id), stream%file, 'cannot open it')
      call require_same_stream(config, stream)
      call check(nf90_inq_dimid(stream%id, 'time', dimension), stream%file, 'time')
      call check(nf90_inquire_dimension(stream%id, dimension, len=length), stream%file, 'time')
      allocate (times(length))
      call check(nf90_inq_varid(stream%id, 'time', variable), stream%file, 'time')
      if (length > 0) call check(nf90_get_var(stream%id, variable, times), stream%file, 'time')
      stream%record = count(times < state%date)   ! what a longer earlier run wrote is overwritten
    end if
  end subroutine open_stream

  !> A run that goes on in a file must have what is in it: nothing else would say which record is what.
  subroutine require_same_stream(config, stream)
    type(config_type), intent(in) :: config
    type(stream_type), intent(in) :: stream
    character(*), parameter :: mend = '; move it, or give the stream another name'
    character(word) :: operation
    integer :: variable

    call check(nf90_inq_varid(stream%id, 'uo', variable), stream%file, 'uo')
    operation = ''
    call check(nf90_get_att(stream%id, variable, 'cell_methods', operation), stream%file, 'cell_methods')
    if (operation /= cell_methods(stream%average)) then
      call abort_run(stream%file//" of an earlier run has '"//trim(operation)//"', this run '"// &
        cell_methods(stream%average)//"'"//mend)
    end if
    if (config%closure%kind /= 'none' .and. .not. has_variable(stream%id, 'su')) then
      call abort_run(stream%file//' of an earlier run has no su, sv of a closure'//mend)
    end if
  end subroutine require_same_stream

  !> After each step: sum up, and write what is due.
  subroutine write_output(config, domain, state, output)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(state_type), intent(in) :: state
    type(output_type), intent(inout) :: output
    logical :: due
    integer :: s

    do s = 1, size(output%streams)
      associate (stream => output%streams(s))
        due = mod(state%step, int(stream%every, dates)) == 0
        if (.not. stream%average) then
          if (due) call write_record(config, domain, stream, state%date, state%date, 1.0_wp, &
            state%u, state%v, state%h, state%su, state%sv)
          cycle
        end if
        call add_to_sums(state, stream)
        if (.not. due) cycle
        call write_record(config, domain, stream, stream%start, state%date, 1.0_wp/stream%count, &
          stream%u, stream%v, stream%h, stream%su, stream%sv)
        call clear_sums(state, stream)
      end associate
    end do
  end subroutine write_output

  subroutine add_to_sums(state, stream)
    type(state_type), intent(in) :: state
    type(stream_type), intent(inout) :: stream
    stream%count = stream%count + 1
    stream%u(:, :, :) = stream%u + state%u
    stream%v(:, :, :) = stream%v + state%v
    stream%h(:, :, :) = stream%h + state%h
    stream%su(:, :, :) = stream%su + state%su
    stream%sv(:, :, :) = stream%sv + state%sv
  end subroutine add_to_sums

  subroutine clear_sums(state, stream)
    type(state_type), intent(in) :: state
    type(stream_type), intent(inout) :: stream
    stream%count = 0
    stream%start = state%date
    stream%u(:, :, :) = 0
    stream%v(:, :, :) = 0
    stream%h(:, :, :) = 0
    stream%su(:, :, :) = 0
    stream%sv(:, :, :) = 0
  end subroutine clear_sums

  subroutine write_record(config, domain, stream, first, last, factor, u, v, h, su, sv)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(stream_type), intent(inout) :: stream
    integer(dates), intent(in) :: first, last   !< time bounds [s]
    real(wp), intent(in) :: factor              !< 1 over the number of steps summed
    real(wp), intent(in), contiguous, dimension(:, :, :) :: u, v, h, su, sv
    real(wp), allocatable :: global(:, :, :), surface(:, :, :)
    integer :: k

    stream%record = stream%record + 1
    call put('uo', u)
    call put('vo', v)
    call put('thickness', h)
    if (domain%rank == 0) then
      allocate (surface(domain%nx, domain%ny, 1), source=0.0_wp)
      do k = size(h, 3), 1, -1
        surface(:, :, 1) = surface(:, :, 1) + (global(:, :, k) - config%layers%thickness(k))
      end do
      call write_field(stream%id, 'zos', surface, stream%record)
      call write_field(stream%id, 'time', reshape([0.5_wp*(first + last)], [1, 1, 1]), stream%record)
      call write_field(stream%id, 'time_bounds', reshape([real(first, wp), real(last, wp)], [2, 1, 1]), &
        stream%record)
    end if
    if (config%closure%kind /= 'none') then
      call put('su', su)
      call put('sv', sv)
    end if
    if (domain%rank == 0) call check(nf90_sync(stream%id), stream%file, 'cannot write it')

  contains

    !> Leaves the global field in place.
    subroutine put(name, field)
      character(*), intent(in) :: name
      real(wp), intent(in), contiguous :: field(:, :, :)
      call gather_to_root(domain, field, global)
      if (domain%rank /= 0) return
      global(:, :, :) = factor*global
      call write_field(stream%id, name, global, stream%record)
    end subroutine put

  end subroutine write_record

  subroutine close_output(domain, output)
    type(domain_type), intent(in) :: domain
    type(output_type), intent(inout) :: output
    integer :: s
    if (domain%rank /= 0) return
    do s = 1, size(output%streams)
      call close_file(output%streams(s)%id, output%streams(s)%file)
    end do
  end subroutine close_output

end module ocean_output

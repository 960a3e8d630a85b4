! SPDX-License-Identifier: MIT
!> The run log, and the guard that stops a run which has left the physical range.
module ocean_monitor
  use, intrinsic :: ieee_arithmetic, only: ieee_is_nan
  use, intrinsic :: iso_fortran_env, only: output_unit
  use ocean_config, only: config_type
  use ocean_domain, only: domain_type, gather_to_root, global_any, global_max, global_sum
  use ocean_grid, only: grid_type
  use ocean_job, only: abort_run
  use ocean_kinds, only: dates, wp
  use ocean_state, only: layer_volume, state_type
  use ocean_text, only: integer_text, number_text
  implicit none (type, external)
  private

  public :: open_log, write_log, note, find_problem

  real(wp), parameter :: forcing_max = 1   !< of a closure [m s-2]

contains

  !> unit: of the log on rank 0.
  subroutine open_log(config, domain, unit)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    integer, intent(out) :: unit
    character(:), allocatable :: file
    character(7) :: position
    integer :: status

    unit = -1
    if (domain%rank /= 0) return
    file = trim(config%experiment%directory)//'/'//trim(config%experiment%name)//'.log'
    position = merge('rewind ', 'append ', config%time%restart_from == '')
    if (position == 'rewind') then
      open (newunit=unit, file=file, action='write', status='replace', iostat=status)
    else
      open (newunit=unit, file=file, action='write', position=position, iostat=status)
    end if
    if (status /= 0) call abort_run('cannot write '//file//'; &experiment directory must be writable')
  end subroutine open_log

  !> A line to the log and to standard output.
  subroutine note(unit, line)
    integer, intent(in) :: unit
    character(*), intent(in) :: line
    if (unit == -1) return
    write (unit, '(a)') line
    flush (unit)
    write (output_unit, '(a)') line
    flush (output_unit)
  end subroutine note

  subroutine write_log(config, domain, grid, state, unit)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(state_type), intent(in) :: state
    integer, intent(in) :: unit
    real(wp) :: surface, speed, energy, drift
    character(160) :: line
    integer :: i, j

    surface = 0
    speed = 0
    do j = 1, domain%nj
      do i = 1, domain%ni
        surface = max(surface, grid%mask_t(i, j) &
          *abs(sum(state%h(i, j, :) - config%layers%thickness(:config%grid%nz))))
        speed = max(speed, maxval(abs(state%u(i, j, :))), maxval(abs(state%v(i, j, :))))
      end do
    end do
    surface = global_max(domain, surface)
    speed = global_max(domain, speed)
    energy = config%layers%density*kinetic_energy(domain, grid, state)
    drift = maxval(abs(layer_volume(domain, grid, state%h) - state%volume)/state%volume)
    write (line, '(a,i9,a,f12.4,4(a,es11.4))') 'step', state%step, '  day', state%date/86400.0_wp, &
      '  max|ssh|', surface, ' m  max|u|', speed, ' m/s  KE', energy, ' J  volume drift', drift
    call note(unit, trim(line))
  end subroutine write_log

  !> Sum of area h (u2 + v2)/2 [m5 s-2], as the dynamics conserve it; needs a halo of 1.
  function kinetic_energy(domain, grid, state) result(energy)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(state_type), intent(in) :: state
    real(wp) :: energy
    real(wp), allocatable :: column(:, :)
    integer :: i, j, k

    allocate (column, mold=grid%mask_t)
    column(:, :) = 0
    associate (u => state%u, v => state%v, h => state%h, area_u => grid%area_u, area_v => grid%area_v)
      do k = 1, size(h, 3)
        do j = 1, domain%nj
          do i = 1, domain%ni
            column(i, j) = column(i, j) + 0.25_wp*h(i, j, k)*grid%mask_t(i, j) &
              *((area_u(i, j)*u(i, j, k)**2 + area_u(i - 1, j)*u(i - 1, j, k)**2) &
                + (area_v(i, j)*v(i, j, k)**2 + area_v(i, j - 1)*v(i, j - 1, k)**2))
          end do
        end do
      end do
    end associate
    energy = global_sum(domain, column)
  end function kinetic_energy

  !> Not allocated on any rank: all is well. Else, on rank 0, where the first bad value is.
  subroutine find_problem(config, domain, state, problem)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(state_type), intent(in) :: state
    character(:), allocatable, intent(out) :: problem
    real(wp) :: speed, least, most
    logical :: fine

    speed = config%guard%speed_max
    least = config%guard%thickness_min
    most = 2*sum(config%layers%thickness(:config%grid%nz))
    fine = within(domain, state%u, -speed, speed) .and. within(domain, state%v, -speed, speed) &
           .and. within(domain, state%h, least, most) &
           .and. within(domain, state%su, -forcing_max, forcing_max) &
           .and. within(domain, state%sv, -forcing_max, forcing_max)
    if (.not. global_any(domain, .not. fine)) return
    problem = ''
    call describe('su', 'm s-2', state%su, -forcing_max, forcing_max)
    call describe('sv', 'm s-2', state%sv, -forcing_max, forcing_max)
    call describe('u', 'm s-1', state%u, -speed, speed)
    call describe('v', 'm s-1', state%v, -speed, speed)
    call describe('h', 'm', state%h, least, most)

  contains

    subroutine describe(name, units, field, lowest, highest)
      character(*), intent(in) :: name, units
      real(wp), intent(in), contiguous :: field(:, :, :)
      real(wp), intent(in) :: lowest, highest
      real(wp), allocatable :: global(:, :, :)
      integer :: at(3)

      call gather_to_root(domain, field, global)
      if (domain%rank /= 0 .or. problem /= '') return
      at = findloc(global >= lowest .and. global <= highest, .false.)
      if (at(1) == 0) return
      problem = 'step '//integer_text(state%step)//', date '//integer_text(state%date)//' s: '//name// &
        ' at (i, j, k) = ('//integer_text(at(1))//', '//integer_text(at(2))//', '//integer_text(at(3))// &
        ') is '//value_text(global(at(1), at(2), at(3)))//', allowed: '//number_text(lowest)//' to '// &
        number_text(highest)//' '//units
    end subroutine describe

  end subroutine find_problem

  pure function value_text(value) result(text)
    real(wp), intent(in) :: value
    character(:), allocatable :: text
    text = number_text(value)
    if (ieee_is_nan(value)) text = 'NaN'
  end function value_text

  !> Whether all owned cells are; a NaN never is.
  pure logical function within(domain, field, lowest, highest)
    type(domain_type), intent(in) :: domain
    real(wp), intent(in), contiguous :: field(1 - domain%hw:, 1 - domain%hw:, :)
    real(wp), intent(in) :: lowest, highest
    integer :: i, j, k, good

    good = 0
    do k = 1, size(field, 3)
      do j = 1, domain%nj
        do i = 1, domain%ni
          good = good + merge(1, 0, field(i, j, k) >= lowest .and. field(i, j, k) <= highest)
        end do
      end do
    end do
    within = good == domain%ni*domain%nj*size(field, 3)
  end function within

end module ocean_monitor

! SPDX-License-Identifier: MIT
!> What the values of a namelist may be.
module ocean_validate
  use ocean_config, only: config_type, max_layers, max_streams
  use ocean_grid, only: axis, coriolis, narrowest
  use ocean_kinds, only: wp
  use ocean_namelist_text, only: entry_type
  use ocean_text, only: integer_text, number_text
  implicit none (type, external)
  private

  public :: validate_config, stable_interval

contains

  !> Fill the defaults that depend on other values, then check every value; the first error wins.
  subroutine validate_config(file, entries, config, error)
    character(*), intent(in) :: file
    type(entry_type), intent(in) :: entries(:)
    type(config_type), intent(inout) :: config
    character(:), allocatable, intent(out) :: error   !< not allocated: none
    real(wp) :: limit

    call check_grid()
    if (.not. allocated(error)) call check_layers()
    if (.not. allocated(error)) call check_choices()
    if (.not. allocated(error)) call check_numbers()
    if (.not. allocated(error)) call check_streams()
    if (allocated(error)) return
    limit = stable_interval(config)
    call allow(config%time%dt <= limit, 'time', 'dt', integer_text(config%time%dt), &
      'at most '//integer_text(floor(limit))//' s: with this grid and these layers the surface gravity '// &
      'wave is stable for dt <= '//number_text(limit)//' s')
    call check_viscosity()

  contains

    !> Keep the first error: place, group, key, what was got and what is allowed.
    subroutine allow(fine, group, key, got, allowed)
      logical, intent(in) :: fine
      character(*), intent(in) :: group, key, got, allowed
      integer :: at

      if (fine .or. allocated(error)) return
      at = findloc(entries%group == group .and. entries%key == key, .true., dim=1)
      error = file//': '
      if (at > 0) error = file//':'//integer_text(entries(at)%line)//': '
      error = error//'&'//group//' '//key//': got '//got//', allowed: '//allowed
    end subroutine allow

    subroutine choice(group, key, got, allowed)
      character(*), intent(in) :: group, key, got, allowed   !< 'one, two, three'
      call allow(got /= '' .and. index(', '//allowed//',', ', '//trim(got)//',') > 0, group, key, &
        "'"//trim(got)//"'", allowed)
    end subroutine choice

    subroutine not_negative(group, key, got)
      character(*), intent(in) :: group, key
      real(wp), intent(in) :: got
      call allow(got >= 0, group, key, number_text(got), '0 or more')
    end subroutine not_negative

    subroutine positive(group, key, got)
      character(*), intent(in) :: group, key
      real(wp), intent(in) :: got
      call allow(got > 0, group, key, number_text(got), 'more than 0')
    end subroutine positive

    subroutine at_least(group, key, got, least)
      character(*), intent(in) :: group, key
      integer, intent(in) :: got, least
      call allow(got >= least, group, key, integer_text(got), integer_text(least)//' or more')
    end subroutine at_least

    subroutine needs_file(group, key, choice_key, chosen, file_name)
      character(*), intent(in) :: group, key, choice_key, chosen, file_name
      call allow(chosen /= 'file' .or. file_name /= '', group, key, "''", &
        "a file name, since &"//group//' '//choice_key//" is 'file'")
    end subroutine needs_file

    subroutine check_grid()
      associate (grid => config%grid)
        call at_least('grid', 'nx', grid%nx, 2)
        call at_least('grid', 'ny', grid%ny, 2)
        call allow(grid%nz >= 1 .and. grid%nz <= max_layers, 'grid', 'nz', integer_text(grid%nz), &
          '1 to '//integer_text(max_layers))
        call choice('grid', 'geometry', grid%geometry, 'cartesian, spherical')
        call choice('grid', 'land', grid%land, 'none, island, peninsula, file')
        call needs_file('grid', 'land_file', 'land', grid%land, grid%land_file)
        call positive('grid', 'length_x', grid%length_x)
        call positive('grid', 'length_y', grid%length_y)
        call allow(grid%width > 0 .and. grid%width <= 360, 'grid', 'width', number_text(grid%width), &
          'more than 0 and at most 360 degrees')
        call positive('grid', 'height', grid%height)
        if (grid%geometry == 'spherical') then
          call allow(grid%south >= -80 .and. grid%south + grid%height <= 80, 'grid', 'south', &
            number_text(grid%south), 'a box between 80 S and 80 N')
          call allow(.not. grid%periodic_y, 'grid', 'periodic_y', '.true.', &
            ".false. with geometry = 'spherical'")
        else
          call allow(.not. grid%periodic_y .or. abs(grid%beta) <= 0, 'grid', 'beta', &
            number_text(grid%beta), '0 with periodic_y, where f must be the same at both ends')
        end if
      end associate
      call at_least('domain', 'px', config%domain%px, 0)
      call at_least('domain', 'py', config%domain%py, 0)
    end subroutine check_grid

    !> Neither given: the reference double gyre's total depth and reduced gravities.
    subroutine check_layers()
      integer :: nz
      nz = config%grid%nz
      associate (thickness => config%layers%thickness, gravity => config%layers%reduced_gravity)
        if (all(thickness < 0)) thickness(:nz) = 2000.0_wp/nz
        if (all(gravity < 0)) then
          gravity(:nz) = 0.0098_wp
          gravity(1) = 0.98_wp
        end if
        call allow(all(thickness(:nz) > 0) .and. all(thickness(nz + 1:) < 0), 'layers', 'thickness', &
          integer_text(count(thickness > 0))//' positive values', one_per_layer())
        call allow(all(gravity(:nz) > 0) .and. all(gravity(nz + 1:) < 0), 'layers', 'reduced_gravity', &
          integer_text(count(gravity > 0))//' positive values', one_per_layer())
      end associate
      call positive('layers', 'density', config%layers%density)
    end subroutine check_layers

    function one_per_layer() result(text)
      character(:), allocatable :: text
      text = 'one value more than 0 for each of the '//integer_text(config%grid%nz)//' layers'
    end function one_per_layer

    subroutine check_choices()
      call allow(config%experiment%name /= '' .and. scan(config%experiment%name, '/') == 0, &
        'experiment', 'name', "'"//trim(config%experiment%name)//"'", 'a name without /')
      call allow(config%experiment%directory /= '', 'experiment', 'directory', "''", &
        "a directory; '.' is where the job runs")
      call choice('experiment', 'calendar', config%experiment%calendar, &
        'noleap, gregorian, proleptic_gregorian, 360_day, all_leap, julian')
      call allow(is_date(config%experiment%origin), 'experiment', 'origin', &
        "'"//trim(config%experiment%origin)//"'", "a date 'yyyy-mm-dd hh:mm:ss'")
      call choice('initial', 'kind', config%initial%kind, 'rest, jet, file')
      call needs_file('initial', 'file', 'kind', config%initial%kind, config%initial%file)
      call allow(config%initial%kind /= 'jet' .or. edge_product() > 0, 'initial', 'kind', "'jet'", &
        'rest, file; a jet needs a Coriolis parameter of one sign')
      call choice('dynamics', 'vorticity', config%dynamics%vorticity, 'energy, enstrophy')
      call choice('forcing', 'wind', config%forcing%wind, 'none, double_gyre, single_gyre, file')
      call needs_file('forcing', 'wind_file', 'wind', config%forcing%wind, config%forcing%wind_file)
      call choice('closure', 'kind', config%closure%kind, 'none, zb20, coupled')
      call choice('closure', 'preset', config%closure%preset, 'raw, smooth, reynolds')
      call allow(any(config%closure%delay == [0, 1]), 'closure', 'delay', &
        integer_text(config%closure%delay), '0 or 1')
      call allow(config%closure%kind /= 'coupled' .or. config%coupling%enabled, 'closure', 'kind', &
        "'coupled'", 'none, zb20; or set &coupling enabled = .true.')
    end subroutine check_choices

    !> Product of those at the two edges: positive when f keeps its sign.
    pure real(wp) function edge_product()
      edge_product = coriolis(config%grid, axis(config%grid, .false., 0.0_wp)) &
        *coriolis(config%grid, axis(config%grid, .false., real(config%grid%ny, wp)))
    end function edge_product

    subroutine check_numbers()
      call at_least('time', 'dt', config%time%dt, 1)
      call at_least('time', 'steps', config%time%steps, 0)
      call at_least('time', 'restart_every', config%time%restart_every, 0)
      call allow(config%time%restart_from == '' .or. .not. config%coupling%enabled .or. &
        index(config%time%restart_from, '_restart.nc', back=.true.) == &
        max(1, len_trim(config%time%restart_from) - len('_restart.nc') + 1), 'time', 'restart_from', &
        "'"//trim(config%time%restart_from)//"'", &
        "a name that ends in '_restart.nc', from which the coupler's restart has its name")
      call positive('initial', 'jet_width', config%initial%jet_width)
      call not_negative('viscosity', 'laplacian', config%viscosity%laplacian)
      call not_negative('viscosity', 'biharmonic', config%viscosity%biharmonic)
      call not_negative('viscosity', 'smagorinsky_laplacian', config%viscosity%smagorinsky_laplacian)
      call not_negative('viscosity', 'smagorinsky_biharmonic', config%viscosity%smagorinsky_biharmonic)
      call not_negative('forcing', 'drag_linear', config%forcing%drag_linear)
      call not_negative('forcing', 'drag_quadratic', config%forcing%drag_quadratic)
      call allow(config%forcing%drag_rayleigh >= 0 .and. config%forcing%drag_rayleigh*config%time%dt <= 1, &
        'forcing', 'drag_rayleigh', number_text(config%forcing%drag_rayleigh), '0 to 1/dt')
      call positive('guard', 'speed_max', config%guard%speed_max)
      call not_negative('guard', 'thickness_min', config%guard%thickness_min)
      call at_least('output', 'log_every', config%output%log_every, 1)
    end subroutine check_numbers

    subroutine check_streams()
      integer :: s
      do s = 1, max_streams
        associate (output => config%output)
          call choice('output', 'stream_operation', output%stream_operation(s), 'instant, average')
          if (output%stream_name(s) == '') then
            call allow(output%stream_every(s) == 0, 'output', 'stream_every', &
              'a period for stream '//integer_text(s), 'one period for each stream_name')
            cycle
          end if
          call at_least('output', 'stream_every', output%stream_every(s), 1)
          call allow(all(output%stream_name(:s - 1) /= output%stream_name(s)) .and. &
                     scan(output%stream_name(s), '/') == 0 .and. &
                     all(output%stream_name(s) /= ['grid ', 'error']), 'output', 'stream_name', &
            "'"//trim(output%stream_name(s))//"'", "names without /, each once, not 'grid' or 'error'")
        end associate
      end do
    end subroutine check_streams

    !> The viscous forcing is one forward step: its fastest mode must not change sign twice.
    subroutine check_viscosity()
      real(wp) :: laplacian_max, biharmonic_max
      laplacian_max = 0.5_wp/(config%time%dt*narrowest(config%grid))
      biharmonic_max = 0.125_wp/(config%time%dt*narrowest(config%grid)**2)
      call allow(config%viscosity%laplacian <= laplacian_max, 'viscosity', 'laplacian', &
        number_text(config%viscosity%laplacian), 'at most '//number_text(laplacian_max)// &
        ' m2 s-1: the limit of stability with this grid and dt')
      call allow(config%viscosity%biharmonic <= biharmonic_max, 'viscosity', 'biharmonic', &
        number_text(config%viscosity%biharmonic), 'at most '//number_text(biharmonic_max)// &
        ' m4 s-1: the limit of stability with this grid and dt')
    end subroutine check_viscosity

  end subroutine validate_config

  !> Longest stable step of RK3 for the surface gravity wave: sqrt(3)/(2 c sqrt(dx-2 + dy-2)) [s].
  pure real(wp) function stable_interval(config)
    type(config_type), intent(in) :: config
    real(wp) :: speed
    speed = sqrt(config%layers%reduced_gravity(1)*sum(config%layers%thickness(:config%grid%nz)))
    stable_interval = sqrt(3.0_wp)/(2*speed*sqrt(narrowest(config%grid)))
  end function stable_interval

  !> 'yyyy-mm-dd hh:mm:ss', the time of day optional.
  pure logical function is_date(text)
    character(*), intent(in) :: text
    character(*), parameter :: form = '0000-00-00 00:00:00'
    integer :: i

    is_date = len_trim(text) == 10 .or. len_trim(text) == len(form)
    do i = 1, min(len_trim(text), len(form))
      if (form(i:i) == '0') then
        is_date = is_date .and. index('0123456789', text(i:i)) > 0
      else
        is_date = is_date .and. text(i:i) == form(i:i)
      end if
    end do
  end function is_date

end module ocean_validate

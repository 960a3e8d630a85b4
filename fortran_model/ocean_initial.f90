! SPDX-License-Identifier: MIT
!> Initial states: rest, an unstable balanced jet, or a file.
module ocean_initial
  use ocean_config, only: config_type
  use ocean_domain, only: domain_type, gather_to_root, halo_update, scatter_from_root
  use ocean_grid, only: axis, coriolis, grid_type, grid_height
  use ocean_kinds, only: wp
  use ocean_netcdf, only: close_file, has_variable, open_file, read_variable
  use ocean_state, only: layer_volume, state_type
  implicit none (type, external)
  private

  public :: fill_initial

  real(wp), parameter :: pi = acos(-1.0_wp)

contains

  subroutine fill_initial(config, domain, grid, state)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(state_type), intent(inout) :: state
    integer :: i, j, k

    do k = 1, config%grid%nz
      state%h(1:domain%ni, 1:domain%nj, k) = config%layers%thickness(k)
    end do
    if (config%initial%kind == 'file') call read_initial(config, domain, state)
    if (config%initial%kind == 'jet') call add_jet(config, domain, grid, state)
    ! whatever a file says there: walls are closed, land has the thickness of rest
    do k = 1, config%grid%nz
      do j = 1, domain%nj
        do i = 1, domain%ni
          if (grid%mask_t(i, j) < 1) state%h(i, j, k) = config%layers%thickness(k)
        end do
      end do
      where (grid%mask_u < 1) state%u(:, :, k) = 0
      where (grid%mask_v < 1) state%v(:, :, k) = 0
    end do
    call halo_update(domain, state%u, state%v, state%h)
    state%volume(:) = layer_volume(domain, grid, state%h)
  end subroutine fill_initial

  subroutine read_initial(config, domain, state)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(state_type), intent(inout) :: state
    integer :: id

    if (domain%rank == 0) id = open_file(trim(config%initial%file))
    call read_one('u', state%u)
    call read_one('v', state%v)
    call read_one('h', state%h)
    if (domain%rank == 0) call close_file(id, trim(config%initial%file))

  contains

    !> A variable that is not in the file leaves the field at rest.
    subroutine read_one(name, field)
      character(*), intent(in) :: name
      real(wp), intent(inout), contiguous :: field(:, :, :)
      real(wp), allocatable :: global(:, :, :)
      call gather_to_root(domain, field, global)
      if (domain%rank == 0) then
        if (has_variable(id, name)) call read_variable(id, trim(config%initial%file), name, global)
      end if
      call scatter_from_root(domain, global, field)
    end subroutine read_one

  end subroutine read_initial

  !> A zonal jet of the top layer between two gyres, in geostrophic balance, over a deep ocean at
  !> rest. Its meanders are the seed of eddies.
  subroutine add_jet(config, domain, grid, state)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(state_type), intent(inout) :: state
    real(wp), allocatable :: montgomery(:, :)   !< of the top layer, 0 below [m2 s-2]
    real(wp) :: f
    integer :: i, j

    allocate (montgomery, mold=grid%x_t)
    do j = 0, domain%nj + 1
      do i = 0, domain%ni + 1
        montgomery(i, j) = jet_montgomery(config, grid%x_t(i, j), grid%y_t(i, j))
      end do
    end do
    associate (m => montgomery, gravity => config%layers%reduced_gravity)
      do j = 1, domain%nj
        do i = 1, domain%ni
          state%h(i, j, 1) = state%h(i, j, 1) + m(i, j)/gravity(1)
          if (config%grid%nz > 1) then
            state%h(i, j, 1) = state%h(i, j, 1) + m(i, j)/gravity(2)
            state%h(i, j, 2) = state%h(i, j, 2) - m(i, j)/gravity(2)
          end if
          f = 0.5_wp*(grid%coriolis_f(i, j) + grid%coriolis_f(i, j - 1))
          state%u(i, j, 1) = -0.25_wp/(f*grid%dy_u(i, j)) &
            *((m(i, j + 1) - m(i, j - 1)) + (m(i + 1, j + 1) - m(i + 1, j - 1)))
          f = 0.5_wp*(grid%coriolis_f(i, j) + grid%coriolis_f(i - 1, j))
          state%v(i, j, 1) = 0.25_wp/(f*grid%dx_v(i, j)) &
            *((m(i + 1, j) - m(i - 1, j)) + (m(i + 1, j + 1) - m(i - 1, j + 1)))
        end do
      end do
    end associate
  end subroutine add_jet

  pure real(wp) function jet_montgomery(config, x, y) result(montgomery)
    type(config_type), intent(in) :: config
    real(wp), intent(in) :: x, y   !< coordinates of the grid
    integer, parameter :: modes(*) = [3, 7, 10, 13]   !< meanders along x
    real(wp) :: along, across, axis_shift, width
    integer :: mode

    along = fraction_of(config, .true., x)
    across = fraction_of(config, .false., y)
    width = config%initial%jet_width/grid_height(config%grid)
    axis_shift = 0
    do mode = 1, size(modes)
      axis_shift = axis_shift + sin(2*pi*modes(mode)*along + mode*mode)/size(modes)
    end do
    across = across - 0.5_wp - config%initial%perturbation*width*axis_shift
    montgomery = -config%initial%jet_speed*coriolis(config%grid, &
      axis(config%grid, .false., 0.5_wp*config%grid%ny))*config%initial%jet_width &
      *tanh(across/width)*ramp(fraction_of(config, .false., y))
    if (.not. config%grid%periodic_x) montgomery = montgomery*ramp(along)
  end function jet_montgomery

  !> Position between the basin's edges, 0 to 1.
  pure real(wp) function fraction_of(config, along_x, position)
    type(config_type), intent(in) :: config
    logical, intent(in) :: along_x
    real(wp), intent(in) :: position
    real(wp) :: first, last
    first = axis(config%grid, along_x, 0.0_wp)
    last = axis(config%grid, along_x, real(merge(config%grid%nx, config%grid%ny, along_x), wp))
    fraction_of = (position - first)/(last - first)
  end function fraction_of

  !> 0 at both walls, 1 from a quarter of the basin on, smooth.
  pure real(wp) function ramp(fraction)
    real(wp), intent(in) :: fraction
    ramp = 0.5_wp*(1 - cos(pi*min(1.0_wp, 4*max(0.0_wp, min(fraction, 1 - fraction)))))
  end function ramp

end module ocean_initial

! SPDX-License-Identifier: MIT
!> Wind stress on the top layer, drag on the lowest.
module ocean_forcing
  use ocean_config, only: config_type
  use ocean_domain, only: domain_type, scatter_from_root
  use ocean_grid, only: axis, grid_type
  use ocean_kinds, only: wp
  use ocean_netcdf, only: close_file, open_file, read_variable
  implicit none (type, external)
  private

  public :: forcing_type, build_forcing, add_forcing

  type :: forcing_type
    logical :: wind = .false., linear = .false.
    real(wp) :: drag_linear = 0      !< [m s-1]
    real(wp) :: drag_quadratic = 0   !< [1]
    real(wp) :: drag_rayleigh = 0    !< [s-1]
    real(wp), allocatable :: thickness(:)                   !< at rest [m]
    real(wp), allocatable, dimension(:, :) :: wind_u, wind_v   !< stress over density [m2 s-2]
  end type forcing_type

contains

  function build_forcing(config, domain, grid) result(forcing)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(forcing_type) :: forcing
    real(wp), parameter :: pi = acos(-1.0_wp)
    real(wp) :: south, height, phase
    integer :: j

    forcing%wind = config%forcing%wind /= 'none'
    forcing%linear = config%dynamics%linear
    forcing%drag_linear = config%forcing%drag_linear
    forcing%drag_quadratic = config%forcing%drag_quadratic
    forcing%drag_rayleigh = config%forcing%drag_rayleigh
    allocate (forcing%thickness(config%grid%nz), source=config%layers%thickness(:config%grid%nz))
    allocate (forcing%wind_u(1 - domain%hw:domain%ni + domain%hw, 1 - domain%hw:domain%nj + domain%hw), &
      source=0.0_wp)
    allocate (forcing%wind_v, source=forcing%wind_u)

    south = axis(config%grid, .false., 0.0_wp)
    height = axis(config%grid, .false., real(config%grid%ny, wp)) - south
    do j = 1, domain%nj
      phase = pi*(grid%y_u(1, j) - south)/height
      select case (config%forcing%wind)
      case ('double_gyre')
        forcing%wind_u(:, j) = config%forcing%wind_stress*(1 - cos(2*phase))
      case ('single_gyre')
        forcing%wind_u(:, j) = -config%forcing%wind_stress*cos(phase)
      case default
        exit
      end select
    end do
    if (config%forcing%wind == 'file') call read_wind(config, domain, forcing)
    forcing%wind_u(:, :) = forcing%wind_u*grid%mask_u/config%layers%density
    forcing%wind_v(:, :) = forcing%wind_v*grid%mask_v/config%layers%density
  end function build_forcing

  subroutine read_wind(config, domain, forcing)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(forcing_type), intent(inout) :: forcing
    real(wp), allocatable :: x(:, :, :), y(:, :, :)
    integer :: id

    allocate (x(domain%nx, domain%ny, 1), y(domain%nx, domain%ny, 1))
    if (domain%rank == 0) then
      id = open_file(trim(config%forcing%wind_file))
      call read_variable(id, config%forcing%wind_file, 'taux', x)
      call read_variable(id, config%forcing%wind_file, 'tauy', y)
      call close_file(id, config%forcing%wind_file)
    end if
    call scatter_from_root(domain, x(:, :, 1), forcing%wind_u)
    call scatter_from_root(domain, y(:, :, 1), forcing%wind_v)
  end subroutine read_wind

  !> Add the accelerations by wind and drag to fu, fv of the owned faces; u, v, h need a halo of 1.
  subroutine add_forcing(domain, forcing, u, v, h, fu, fv)
    type(domain_type), intent(in) :: domain
    type(forcing_type), intent(in) :: forcing
    real(wp), intent(in), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:, :) :: u, v, h
    real(wp), intent(inout), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:, :) :: fu, fv
    integer :: i, j, k, nz

    nz = size(u, 3)
    if (forcing%wind) then
      do j = 1, domain%nj
        do i = 1, domain%ni
          fu(i, j, 1) = fu(i, j, 1) + forcing%wind_u(i, j)/face(forcing, 1, h(i, j, 1), h(i + 1, j, 1))
          fv(i, j, 1) = fv(i, j, 1) + forcing%wind_v(i, j)/face(forcing, 1, h(i, j, 1), h(i, j + 1, 1))
        end do
      end do
    end if
    if (forcing%drag_rayleigh > 0) then
      do k = 1, nz
        do j = 1, domain%nj
          do i = 1, domain%ni
            fu(i, j, k) = fu(i, j, k) - forcing%drag_rayleigh*u(i, j, k)
            fv(i, j, k) = fv(i, j, k) - forcing%drag_rayleigh*v(i, j, k)
          end do
        end do
      end do
    end if
    if (forcing%drag_linear > 0 .or. forcing%drag_quadratic > 0) then
      call add_bottom_drag(domain, forcing, u(:, :, nz), v(:, :, nz), h(:, :, nz), nz, &
        fu(:, :, nz), fv(:, :, nz))
    end if
  end subroutine add_forcing

  subroutine add_bottom_drag(domain, forcing, u, v, h, layer, fu, fv)
    type(domain_type), intent(in) :: domain
    type(forcing_type), intent(in) :: forcing
    real(wp), intent(in), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:) :: u, v, h
    integer, intent(in) :: layer
    real(wp), intent(inout), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:) :: fu, fv
    real(wp) :: across   !< the other component, averaged to the face [m s-1]
    real(wp) :: drag     !< velocity that drags [m s-1]
    integer :: i, j

    do j = 1, domain%nj
      do i = 1, domain%ni
        across = 0.25_wp*((v(i, j) + v(i + 1, j - 1)) + (v(i + 1, j) + v(i, j - 1)))
        drag = forcing%drag_linear + forcing%drag_quadratic*sqrt(u(i, j)*u(i, j) + across*across)
        fu(i, j) = fu(i, j) - drag*u(i, j)/face(forcing, layer, h(i, j), h(i + 1, j))
        across = 0.25_wp*((u(i, j) + u(i - 1, j + 1)) + (u(i, j + 1) + u(i - 1, j)))
        drag = forcing%drag_linear + forcing%drag_quadratic*sqrt(v(i, j)*v(i, j) + across*across)
        fv(i, j) = fv(i, j) - drag*v(i, j)/face(forcing, layer, h(i, j), h(i, j + 1))
      end do
    end do
  end subroutine add_bottom_drag

  !> Thickness at a face [m].
  pure real(wp) function face(forcing, layer, one, other)
    type(forcing_type), intent(in) :: forcing
    integer, intent(in) :: layer
    real(wp), intent(in) :: one, other
    face = 0.5_wp*(one + other)
    if (forcing%linear) face = forcing%thickness(layer)
  end function face

end module ocean_forcing

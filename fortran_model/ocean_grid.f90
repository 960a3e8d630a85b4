! SPDX-License-Identifier: MIT
!> The C-grid: metrics, coordinates, Coriolis parameter and masks.
!>
!> u(I, j) is the east face of cell (i, j), v(i, J) its north face, f(I, J) its north-east corner.
!> Metrics are finite and positive in the whole halo; masks are 0 beyond closed boundaries.
module ocean_grid
  use ocean_config, only: grid_config_type
  use ocean_domain, only: domain_type, halo_update
  use ocean_kinds, only: wp
  use ocean_land, only: fill_land_mask
  implicit none (type, external)
  private

  public :: grid_type, build_grid, axis, coriolis, grid_height, narrowest

  real(wp), parameter :: earth_radius = 6.378e6_wp        !< [m]
  real(wp), parameter :: earth_rotation = 7.2921e-5_wp    !< [s-1]
  real(wp), parameter :: degree = acos(-1.0_wp)/180       !< [rad]

  !> Local arrays (1-hw:ni+hw, 1-hw:nj+hw).
  type :: grid_type
    logical :: spherical = .false.                                  !< x, y in degrees, else in m
    real(wp), allocatable, dimension(:, :) :: x_t, x_u, x_v, x_f    !< [m or degrees_east]
    real(wp), allocatable, dimension(:, :) :: y_t, y_u, y_v, y_f    !< [m or degrees_north]
    real(wp), allocatable, dimension(:, :) :: dx_t, dx_u, dx_v, dx_f             !< [m]
    real(wp), allocatable, dimension(:, :) :: dy_t, dy_u, dy_v, dy_f             !< [m]
    real(wp), allocatable, dimension(:, :) :: area_t, area_u, area_v, area_f     !< [m2]
    real(wp), allocatable, dimension(:, :) :: mask_t, mask_u, mask_v, mask_f     !< 1 sea, 0 land
    real(wp), allocatable :: coriolis_f(:, :)                                    !< [s-1]
  end type grid_type

contains

  function build_grid(config, domain) result(grid)
    type(grid_config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(grid_type) :: grid
    real(wp), parameter :: half = 0.5_wp

    grid%spherical = config%geometry == 'spherical'
    call place(config, domain, 0.0_wp, 0.0_wp, grid%x_t, grid%y_t, grid%dx_t, grid%dy_t, grid%area_t)
    call place(config, domain, half, 0.0_wp, grid%x_u, grid%y_u, grid%dx_u, grid%dy_u, grid%area_u)
    call place(config, domain, 0.0_wp, half, grid%x_v, grid%y_v, grid%dx_v, grid%dy_v, grid%area_v)
    call place(config, domain, half, half, grid%x_f, grid%y_f, grid%dx_f, grid%dy_f, grid%area_f)
    allocate (grid%coriolis_f, mold=grid%y_f)
    grid%coriolis_f(:, :) = coriolis(config, grid%y_f)
    call mask(config, domain, grid)
  end function build_grid

  !> Coordinate of global position (in cells from the west or south edge) along x or y.
  pure real(wp) function axis(config, along_x, position)
    type(grid_config_type), intent(in) :: config
    logical, intent(in) :: along_x
    real(wp), intent(in) :: position
    if (config%geometry == 'spherical') then
      if (along_x) then
        axis = config%west + config%width*position/config%nx
      else
        axis = config%south + config%height*position/config%ny
      end if
    else if (along_x) then
      axis = config%length_x*position/config%nx
    else
      axis = config%length_y*position/config%ny
    end if
  end function axis

  !> Coriolis parameter at y [s-1].
  pure elemental real(wp) function coriolis(config, y)
    type(grid_config_type), intent(in) :: config
    real(wp), intent(in) :: y   !< [m or degrees_north]
    if (config%geometry == 'spherical') then
      coriolis = 2*earth_rotation*sin(y*degree)
    else
      coriolis = config%f0 + config%beta*y
    end if
  end function coriolis

  !> From the south to the north edge [m].
  pure real(wp) function grid_height(config)
    type(grid_config_type), intent(in) :: config
    grid_height = config%length_y
    if (config%geometry == 'spherical') grid_height = earth_radius*degree*config%height
  end function grid_height

  !> Largest dx-2 + dy-2 of all cells [m-2].
  pure real(wp) function narrowest(config)
    type(grid_config_type), intent(in) :: config
    real(wp) :: dx, dy, edge_row
    if (config%geometry == 'spherical') then
      edge_row = max(abs(axis(config, .false., 0.5_wp)), abs(axis(config, .false., config%ny - 0.5_wp)))
      dx = earth_radius*degree*config%width/config%nx*cos(edge_row*degree)
      dy = earth_radius*degree*config%height/config%ny
    else
      dx = config%length_x/config%nx
      dy = config%length_y/config%ny
    end if
    narrowest = 1/dx**2 + 1/dy**2
  end function narrowest

  !> Coordinates and metrics of the points shifted by (shift_x, shift_y) cells from T.
  subroutine place(config, domain, shift_x, shift_y, x, y, dx, dy, area)
    type(grid_config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    real(wp), intent(in) :: shift_x, shift_y
    real(wp), intent(out), allocatable, dimension(:, :) :: x, y, dx, dy, area
    real(wp) :: row
    integer :: i, j, hw, ig, jg

    hw = domain%hw
    allocate (x(1 - hw:domain%ni + hw, 1 - hw:domain%nj + hw))
    allocate (y, dx, dy, area, mold=x)
    do j = 1 - hw, domain%nj + hw
      jg = domain%j0 + j - 1
      ! a periodic halo repeats the metrics and Coriolis parameter of its owner
      if (domain%periodic_y) jg = modulo(jg - 1, domain%ny) + 1
      row = axis(config, .false., jg - 0.5_wp + shift_y)
      do i = 1 - hw, domain%ni + hw
        ig = domain%i0 + i - 1
        if (domain%periodic_x) ig = modulo(ig - 1, domain%nx) + 1
        x(i, j) = axis(config, .true., ig - 0.5_wp + shift_x)
        y(i, j) = row
        if (config%geometry == 'spherical') then
          dx(i, j) = earth_radius*degree*config%width/config%nx*cos(row*degree)
          dy(i, j) = earth_radius*degree*config%height/config%ny
        else
          dx(i, j) = config%length_x/config%nx
          dy(i, j) = config%length_y/config%ny
        end if
        area(i, j) = dx(i, j)*dy(i, j)
      end do
    end do
  end subroutine place

  !> A face is open between two sea cells, a corner among four.
  subroutine mask(config, domain, grid)
    type(grid_config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(inout) :: grid
    integer :: i, j, hw, ni, nj

    hw = domain%hw
    ni = domain%ni
    nj = domain%nj
    allocate (grid%mask_t, grid%mask_u, grid%mask_v, grid%mask_f, mold=grid%x_t)
    call fill_land_mask(config, domain, grid%mask_t)
    grid%mask_u(:, :) = 0
    grid%mask_v(:, :) = 0
    grid%mask_f(:, :) = 0
    ! the outermost faces of the halo need cells beyond it; nothing reads them
    do j = 1 - hw, nj + hw
      do i = 1 - hw, ni + hw - 1
        grid%mask_u(i, j) = grid%mask_t(i, j)*grid%mask_t(i + 1, j)
      end do
    end do
    do j = 1 - hw, nj + hw - 1
      do i = 1 - hw, ni + hw
        grid%mask_v(i, j) = grid%mask_t(i, j)*grid%mask_t(i, j + 1)
      end do
    end do
    do j = 1 - hw, nj + hw - 1
      do i = 1 - hw, ni + hw - 1
        grid%mask_f(i, j) = grid%mask_u(i, j)*grid%mask_u(i, j + 1)
      end do
    end do
    ! end with the owners' values, so that the halo is the same on every decomposition
    call halo_update(domain, grid%mask_u)
    call halo_update(domain, grid%mask_v)
    call halo_update(domain, grid%mask_f)
  end subroutine mask

end module ocean_grid

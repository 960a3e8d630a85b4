! SPDX-License-Identifier: MIT
!> Inviscid tendencies of stacked shallow water in vector-invariant form, Sadourny (1975).
!>
!> With the energy option the sum over cells of area (h K + sum_k g'_k eta_k^2 / 2) does not change:
!> the vorticity flux is antisymmetric, and transport, K and pressure share one face thickness.
module ocean_dynamics
  use ocean_config, only: config_type
  use ocean_domain, only: domain_type
  use ocean_grid, only: grid_type
  use ocean_kinds, only: wp
  implicit none (type, external)
  private

  public :: dynamics_type, build_dynamics, add_displacement, inviscid_tendencies

  type :: dynamics_type
    logical :: linear = .false.
    logical :: energy = .true.
    logical :: free_slip = .true.
    real(wp), allocatable :: thickness(:)          !< at rest [m]
    real(wp), allocatable :: reduced_gravity(:)    !< [m s-2]
    real(wp), allocatable, dimension(:, :) :: inverse_dx_u   !< 0 on closed faces [m-1]
    real(wp), allocatable, dimension(:, :) :: inverse_dy_v   !< 0 on closed faces [m-1]
    real(wp), allocatable, dimension(:, :) :: inverse_area_t !< [m-2]
    real(wp), allocatable, dimension(:, :) :: slip_area_f    !< wall factor of vorticity over area [m-2]
    real(wp), allocatable, dimension(:, :) :: sea_area_t     !< 0 on land [m2]
    ! work space, kept between calls
    real(wp), allocatable :: displacement(:, :, :)           !< of each layer's upper interface [m]
    real(wp), allocatable, dimension(:, :) :: montgomery     !< M [m2 s-2]
    real(wp), allocatable, dimension(:, :) :: bernoulli      !< M + K [m2 s-2]
    real(wp), allocatable, dimension(:, :) :: flux_x, flux_y !< transport through faces [m3 s-1]
    real(wp), allocatable, dimension(:, :) :: q              !< potential vorticity at corners [m-1 s-1]
  end type dynamics_type

contains

  function build_dynamics(config, domain, grid) result(dynamics)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(dynamics_type) :: dynamics
    integer :: hw, nz

    hw = domain%hw
    nz = config%grid%nz
    dynamics%linear = config%dynamics%linear
    dynamics%energy = config%dynamics%vorticity == 'energy'
    allocate (dynamics%thickness(nz), source=config%layers%thickness(:nz))
    allocate (dynamics%reduced_gravity(nz), source=config%layers%reduced_gravity(:nz))
    allocate (dynamics%inverse_dx_u(1 - hw:domain%ni + hw, 1 - hw:domain%nj + hw))
    allocate (dynamics%inverse_dy_v, dynamics%inverse_area_t, dynamics%slip_area_f, &
      dynamics%sea_area_t, mold=dynamics%inverse_dx_u)
    dynamics%inverse_dx_u(:, :) = grid%mask_u/grid%dx_u
    dynamics%inverse_dy_v(:, :) = grid%mask_v/grid%dy_v
    dynamics%inverse_area_t(:, :) = 1/grid%area_t
    dynamics%sea_area_t(:, :) = grid%area_t*grid%mask_t
    ! along a wall: no vorticity with free slip, twice the one-sided difference with no slip
    dynamics%slip_area_f(:, :) = merge(grid%mask_f, 2 - grid%mask_f, config%grid%free_slip)/grid%area_f
    allocate (dynamics%montgomery(1 - hw:domain%ni + hw, 1 - hw:domain%nj + hw), source=0.0_wp)
    allocate (dynamics%bernoulli, dynamics%flux_x, dynamics%flux_y, dynamics%q, source=dynamics%montgomery)
    allocate (dynamics%displacement(1 - hw:domain%ni + hw, 1 - hw:domain%nj + hw, nz), source=0.0_wp)
  end function build_dynamics

  !> Height of each layer's upper interface above its rest height, on cells (0:ni+1, 0:nj+1).
  subroutine add_displacement(domain, thickness, h, displacement)
    type(domain_type), intent(in) :: domain
    real(wp), intent(in) :: thickness(:)   !< at rest [m]
    real(wp), intent(in), contiguous :: h(1 - domain%hw:, 1 - domain%hw:, :)
    real(wp), intent(inout), contiguous :: displacement(1 - domain%hw:, 1 - domain%hw:, :)
    integer :: i, j, k, nz

    nz = size(h, 3)
    do k = nz, 1, -1
      do j = 0, domain%nj + 1
        do i = 0, domain%ni + 1
          displacement(i, j, k) = h(i, j, k) - thickness(k)
        end do
        if (k == nz) cycle
        do i = 0, domain%ni + 1
          displacement(i, j, k) = displacement(i, j, k) + displacement(i, j, k + 1)
        end do
      end do
    end do
  end subroutine add_displacement

  !> du, dv [m s-2] and dh [m s-1] of the owned cells; u, v, h need a halo of 1.
  subroutine inviscid_tendencies(domain, grid, dynamics, u, v, h, du, dv, dh)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(dynamics_type), intent(inout) :: dynamics
    real(wp), intent(in), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:, :) :: u, v, h
    real(wp), intent(inout), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:, :) :: du, dv, dh
    integer :: k

    call add_displacement(domain, dynamics%thickness, h, dynamics%displacement)
    dynamics%montgomery(:, :) = 0
    do k = 1, size(h, 3)
      dynamics%montgomery(:, :) = dynamics%montgomery &
                                  + dynamics%reduced_gravity(k)*dynamics%displacement(:, :, k)
      if (dynamics%linear) then
        call linear_terms(domain, grid, dynamics, dynamics%thickness(k), u(:, :, k), v(:, :, k))
      else
        call nonlinear_terms(domain, grid, dynamics, u(:, :, k), v(:, :, k), h(:, :, k))
      end if
      if (dynamics%energy) then
        call energy_flux(domain, dynamics, du(:, :, k), dv(:, :, k))
      else
        call enstrophy_flux(domain, dynamics, du(:, :, k), dv(:, :, k))
      end if
      call continuity(domain, dynamics, dh(:, :, k))
    end do
  end subroutine inviscid_tendencies

  !> Transport with the rest thickness, M alone, f alone: the solutions of linear theory.
  subroutine linear_terms(domain, grid, dynamics, thickness, u, v)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(dynamics_type), intent(inout) :: dynamics
    real(wp), intent(in) :: thickness   !< at rest [m]
    real(wp), intent(in), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:) :: u, v
    dynamics%flux_x(:, :) = thickness*u*grid%dy_u
    dynamics%flux_y(:, :) = thickness*v*grid%dx_v
    dynamics%q(:, :) = grid%coriolis_f/thickness
    dynamics%bernoulli(:, :) = dynamics%montgomery
  end subroutine linear_terms

  subroutine nonlinear_terms(domain, grid, dynamics, u, v, h)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(dynamics_type), intent(inout) :: dynamics
    real(wp), intent(in), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:) :: u, v, h
    real(wp) :: vorticity   !< relative [s-1]
    real(wp) :: volume      !< of the sea cells around a corner [m3]
    real(wp) :: area        !< theirs [m2]
    integer :: i, j

    do j = 0, domain%nj + 1
      do i = 0, domain%ni
        dynamics%flux_x(i, j) = u(i, j)*grid%dy_u(i, j)*(0.5_wp*(h(i, j) + h(i + 1, j)))
      end do
    end do
    do j = 0, domain%nj
      do i = 0, domain%ni + 1
        dynamics%flux_y(i, j) = v(i, j)*grid%dx_v(i, j)*(0.5_wp*(h(i, j) + h(i, j + 1)))
      end do
      do i = 0, domain%ni
        vorticity = ((v(i + 1, j)*grid%dy_v(i + 1, j) - v(i, j)*grid%dy_v(i, j)) &
                     - (u(i, j + 1)*grid%dx_u(i, j + 1) - u(i, j)*grid%dx_u(i, j)))*dynamics%slip_area_f(i, j)
        area = (dynamics%sea_area_t(i, j) + dynamics%sea_area_t(i + 1, j + 1)) &
               + (dynamics%sea_area_t(i + 1, j) + dynamics%sea_area_t(i, j + 1))
        volume = (dynamics%sea_area_t(i, j)*h(i, j) + dynamics%sea_area_t(i + 1, j + 1)*h(i + 1, j + 1)) &
                 + (dynamics%sea_area_t(i + 1, j)*h(i + 1, j) + dynamics%sea_area_t(i, j + 1)*h(i, j + 1))
        dynamics%q(i, j) = (grid%coriolis_f(i, j) + vorticity)*area/max(volume, tiny(volume))
      end do
    end do
    do j = 1, domain%nj + 1
      do i = 1, domain%ni + 1
        dynamics%bernoulli(i, j) = dynamics%montgomery(i, j) + 0.25_wp*dynamics%inverse_area_t(i, j) &
          *((grid%area_u(i, j)*(u(i, j)*u(i, j)) + grid%area_u(i - 1, j)*(u(i - 1, j)*u(i - 1, j))) &
            + (grid%area_v(i, j)*(v(i, j)*v(i, j)) + grid%area_v(i, j - 1)*(v(i, j - 1)*v(i, j - 1))))
      end do
    end do
  end subroutine nonlinear_terms

  !> Each corner's q times the transports beside it: what u gains there, v loses.
  subroutine energy_flux(domain, dynamics, du, dv)
    type(domain_type), intent(in) :: domain
    type(dynamics_type), intent(in) :: dynamics
    real(wp), intent(inout), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:) :: du, dv
    integer :: i, j

    associate (q => dynamics%q, flux_x => dynamics%flux_x, flux_y => dynamics%flux_y, &
               bernoulli => dynamics%bernoulli)
      do j = 1, domain%nj
        do i = 1, domain%ni
          du(i, j) = dynamics%inverse_dx_u(i, j) &
            *(0.25_wp*(q(i, j)*(flux_y(i, j) + flux_y(i + 1, j)) &
                       + q(i, j - 1)*(flux_y(i, j - 1) + flux_y(i + 1, j - 1))) &
              - (bernoulli(i + 1, j) - bernoulli(i, j)))
          dv(i, j) = -dynamics%inverse_dy_v(i, j) &
            *(0.25_wp*(q(i, j)*(flux_x(i, j) + flux_x(i, j + 1)) &
                       + q(i - 1, j)*(flux_x(i - 1, j) + flux_x(i - 1, j + 1))) &
              + (bernoulli(i, j + 1) - bernoulli(i, j)))
        end do
      end do
    end associate
  end subroutine energy_flux

  !> The mean q of both corners times the mean transport.
  subroutine enstrophy_flux(domain, dynamics, du, dv)
    type(domain_type), intent(in) :: domain
    type(dynamics_type), intent(in) :: dynamics
    real(wp), intent(inout), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:) :: du, dv
    integer :: i, j

    associate (q => dynamics%q, flux_x => dynamics%flux_x, flux_y => dynamics%flux_y, &
               bernoulli => dynamics%bernoulli)
      do j = 1, domain%nj
        do i = 1, domain%ni
          du(i, j) = dynamics%inverse_dx_u(i, j) &
            *(0.125_wp*(q(i, j) + q(i, j - 1))*((flux_y(i, j) + flux_y(i + 1, j)) &
                                                + (flux_y(i, j - 1) + flux_y(i + 1, j - 1))) &
              - (bernoulli(i + 1, j) - bernoulli(i, j)))
          dv(i, j) = -dynamics%inverse_dy_v(i, j) &
            *(0.125_wp*(q(i, j) + q(i - 1, j))*((flux_x(i, j) + flux_x(i, j + 1)) &
                                                + (flux_x(i - 1, j) + flux_x(i - 1, j + 1))) &
              + (bernoulli(i, j + 1) - bernoulli(i, j)))
        end do
      end do
    end associate
  end subroutine enstrophy_flux

  subroutine continuity(domain, dynamics, dh)
    type(domain_type), intent(in) :: domain
    type(dynamics_type), intent(in) :: dynamics
    real(wp), intent(inout), contiguous :: dh(1 - domain%hw:, 1 - domain%hw:)
    integer :: i, j

    associate (flux_x => dynamics%flux_x, flux_y => dynamics%flux_y)
      do j = 1, domain%nj
        do i = 1, domain%ni
          dh(i, j) = -dynamics%inverse_area_t(i, j)*((flux_x(i, j) - flux_x(i - 1, j)) &
                                                     + (flux_y(i, j) - flux_y(i, j - 1)))
        end do
      end do
    end associate
  end subroutine continuity

end module ocean_dynamics

! SPDX-License-Identifier: MIT
!> Laplacian and biharmonic viscosity, constant and Smagorinsky, as the divergence of a stress.
!>
!> Tension D = dx(u)/dy terms at T points, shear D~ at corners (Griffies and Hallberg 2000):
!> acceleration = div(h (nu strain(u) - nu4 strain(L))) / h, with L = div(strain(u)).
module ocean_viscosity
  use ocean_config, only: config_type
  use ocean_domain, only: domain_type
  use ocean_grid, only: grid_type
  use ocean_kinds, only: wp
  implicit none (type, external)
  private

  public :: viscosity_type, build_viscosity, add_viscosity

  type :: viscosity_type
    logical :: active = .false., second = .false., fourth = .false., flow_dependent = .false.
    logical :: linear = .false.
    real(wp) :: laplacian = 0              !< [m2 s-1]
    real(wp) :: biharmonic = 0             !< [m4 s-1]
    real(wp) :: smagorinsky_laplacian = 0  !< [1]
    real(wp) :: smagorinsky_biharmonic = 0 !< [1]
    real(wp), allocatable :: thickness(:)                  !< at rest [m]
    real(wp), allocatable, dimension(:, :) :: slip         !< wall factor of shear
    real(wp), allocatable, dimension(:, :) :: sea_area_t   !< 0 on land [m2]
    real(wp), allocatable, dimension(:, :) :: length_t, length_f           !< squared [m2]
    real(wp), allocatable, dimension(:, :) :: laplacian_t, laplacian_f     !< largest stable [m2 s-1]
    real(wp), allocatable, dimension(:, :) :: biharmonic_t, biharmonic_f   !< largest stable [m4 s-1]
    ! work space, kept between calls
    real(wp), allocatable, dimension(:, :) :: rest                 !< a layer at rest [m]
    real(wp), allocatable, dimension(:, :) :: tension, shear       !< of the flow [s-1]
    real(wp), allocatable, dimension(:, :) :: tension2, shear2     !< of L [m-2 s-1]
    real(wp), allocatable, dimension(:, :) :: u2, v2               !< L [m-1 s-1]
    real(wp), allocatable, dimension(:, :) :: stress_t, stress_f   !< times face length squared
  end type viscosity_type

contains

  function build_viscosity(config, domain, grid) result(viscosity)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(viscosity_type) :: viscosity

    viscosity%laplacian = config%viscosity%laplacian
    viscosity%biharmonic = config%viscosity%biharmonic
    viscosity%smagorinsky_laplacian = config%viscosity%smagorinsky_laplacian
    viscosity%smagorinsky_biharmonic = config%viscosity%smagorinsky_biharmonic
    viscosity%second = viscosity%laplacian > 0 .or. viscosity%smagorinsky_laplacian > 0
    viscosity%fourth = viscosity%biharmonic > 0 .or. viscosity%smagorinsky_biharmonic > 0
    viscosity%flow_dependent = viscosity%smagorinsky_laplacian > 0 .or. viscosity%smagorinsky_biharmonic > 0
    viscosity%active = viscosity%second .or. viscosity%fourth
    viscosity%linear = config%dynamics%linear
    viscosity%thickness = config%layers%thickness(:config%grid%nz)

    allocate (viscosity%slip(1 - domain%hw:domain%ni + domain%hw, 1 - domain%hw:domain%nj + domain%hw))
    viscosity%slip(:, :) = merge(grid%mask_f, 2 - grid%mask_f, config%grid%free_slip)
    allocate (viscosity%sea_area_t, viscosity%length_t, viscosity%length_f, viscosity%laplacian_t, &
      viscosity%laplacian_f, viscosity%biharmonic_t, viscosity%biharmonic_f, viscosity%rest, &
      viscosity%tension, viscosity%shear, viscosity%tension2, viscosity%shear2, viscosity%u2, &
      viscosity%v2, viscosity%stress_t, viscosity%stress_f, source=0*viscosity%slip)
    viscosity%sea_area_t(:, :) = grid%area_t*grid%mask_t
    call limits(grid%dx_t, grid%dy_t, viscosity%length_t, viscosity%laplacian_t, viscosity%biharmonic_t)
    call limits(grid%dx_f, grid%dy_f, viscosity%length_f, viscosity%laplacian_f, viscosity%biharmonic_f)

  contains

    !> A Smagorinsky viscosity stays below half of what one forward step allows.
    pure elemental subroutine limits(dx, dy, length, laplacian, biharmonic)
      real(wp), intent(in) :: dx, dy
      real(wp), intent(out) :: length, laplacian, biharmonic
      real(wp) :: wavenumber
      wavenumber = 1/dx**2 + 1/dy**2
      length = 2/wavenumber
      laplacian = 0.25_wp/(config%time%dt*wavenumber)
      biharmonic = 0.0625_wp/(config%time%dt*wavenumber**2)
    end subroutine limits

  end function build_viscosity

  !> Add the viscous acceleration to fu, fv of the owned faces; u, v, h need a halo of 2.
  subroutine add_viscosity(domain, grid, viscosity, u, v, h, fu, fv)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(viscosity_type), intent(inout) :: viscosity
    real(wp), intent(in), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:, :) :: u, v, h
    real(wp), intent(inout), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:, :) :: fu, fv
    integer :: k

    if (.not. viscosity%active) return
    do k = 1, size(u, 3)
      call strain(domain, grid, viscosity%slip, 1, u(:, :, k), v(:, :, k), viscosity%tension, viscosity%shear)
      if (viscosity%fourth) then
        call divergence(domain, grid, viscosity)
        call strain(domain, grid, viscosity%slip, 0, viscosity%u2, viscosity%v2, viscosity%tension2, &
          viscosity%shear2)
      end if
      if (viscosity%linear) then
        viscosity%rest(:, :) = viscosity%thickness(k)
        call add_stress(domain, grid, viscosity, viscosity%rest, fu(:, :, k), fv(:, :, k))
      else
        call add_stress(domain, grid, viscosity, h(:, :, k), fu(:, :, k), fv(:, :, k))
      end if
    end do
  end subroutine add_viscosity

  !> Tension on cells (1-more:ni+1+more), shear on corners (-more:ni+more), and so in y.
  subroutine strain(domain, grid, slip, more, u, v, tension, shear)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    integer, intent(in) :: more
    real(wp), intent(in), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:) :: slip, u, v
    real(wp), intent(inout), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:) :: tension, shear
    integer :: i, j

    do j = 1 - more, domain%nj + 1 + more
      do i = 1 - more, domain%ni + 1 + more
        tension(i, j) = grid%dy_t(i, j)/grid%dx_t(i, j) &
          *(u(i, j)/grid%dy_u(i, j) - u(i - 1, j)/grid%dy_u(i - 1, j)) &
          - grid%dx_t(i, j)/grid%dy_t(i, j) &
          *(v(i, j)/grid%dx_v(i, j) - v(i, j - 1)/grid%dx_v(i, j - 1))
      end do
    end do
    do j = -more, domain%nj + more
      do i = -more, domain%ni + more
        shear(i, j) = slip(i, j)*(grid%dy_f(i, j)/grid%dx_f(i, j) &
          *(v(i + 1, j)/grid%dy_v(i + 1, j) - v(i, j)/grid%dy_v(i, j)) &
          + grid%dx_f(i, j)/grid%dy_f(i, j) &
          *(u(i, j + 1)/grid%dx_u(i, j + 1) - u(i, j)/grid%dx_u(i, j)))
      end do
    end do
  end subroutine strain

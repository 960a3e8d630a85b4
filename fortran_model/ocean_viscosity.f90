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
    real(wp), allocatable, dimension(:, :) :: stress_t, stress_f   !< h (nu strain) [m3 s-2]
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
    allocate (viscosity%thickness(config%grid%nz), source=config%layers%thickness(:config%grid%nz))

    allocate (viscosity%rest(1 - domain%hw:domain%ni + domain%hw, 1 - domain%hw:domain%nj + domain%hw), &
      source=0.0_wp)
    allocate (viscosity%slip, mold=viscosity%rest)
    viscosity%slip(:, :) = merge(grid%mask_f, 2 - grid%mask_f, config%grid%free_slip)
    allocate (viscosity%sea_area_t, viscosity%length_t, viscosity%length_f, viscosity%laplacian_t, &
      viscosity%laplacian_f, viscosity%biharmonic_t, viscosity%biharmonic_f, &
      viscosity%tension, viscosity%shear, viscosity%tension2, viscosity%shear2, viscosity%u2, &
      viscosity%v2, viscosity%stress_t, viscosity%stress_f, source=viscosity%rest)
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
        call divergence(domain, grid, 1, viscosity%tension, viscosity%shear, viscosity%u2, viscosity%v2)
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

  !> Divergence of a stress given by its tension and shear, on faces (1-more:ni+more) and so in y.
  subroutine divergence(domain, grid, more, tension, shear, fu, fv)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    integer, intent(in) :: more
    real(wp), intent(in), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:) :: tension, shear
    real(wp), intent(inout), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:) :: fu, fv
    integer :: i, j

    associate (dx_t => grid%dx_t, dy_t => grid%dy_t, dx_f => grid%dx_f, dy_f => grid%dy_f)
      do j = 1 - more, domain%nj + more
        do i = 1 - more, domain%ni + more
          fu(i, j) = grid%mask_u(i, j)/grid%area_u(i, j) &
            *((dy_t(i + 1, j)*dy_t(i + 1, j)*tension(i + 1, j) - dy_t(i, j)*dy_t(i, j)*tension(i, j)) &
              /grid%dy_u(i, j) &
              + (dx_f(i, j)*dx_f(i, j)*shear(i, j) - dx_f(i, j - 1)*dx_f(i, j - 1)*shear(i, j - 1)) &
              /grid%dx_u(i, j))
          fv(i, j) = grid%mask_v(i, j)/grid%area_v(i, j) &
            *((dy_f(i, j)*dy_f(i, j)*shear(i, j) - dy_f(i - 1, j)*dy_f(i - 1, j)*shear(i - 1, j)) &
              /grid%dy_v(i, j) &
              - (dx_t(i, j + 1)*dx_t(i, j + 1)*tension(i, j + 1) - dx_t(i, j)*dx_t(i, j)*tension(i, j)) &
              /grid%dx_v(i, j))
        end do
      end do
    end associate
  end subroutine divergence

  !> Stresses from the strains in the work space, and their divergence over the face thickness.
  subroutine add_stress(domain, grid, viscosity, h, fu, fv)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(viscosity_type), intent(inout) :: viscosity
    real(wp), intent(in), contiguous :: h(1 - domain%hw:, 1 - domain%hw:)
    real(wp), intent(inout), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:) :: fu, fv
    integer :: i, j

    call stress_at_cells(domain, viscosity, h)
    call stress_at_corners(domain, viscosity, h)
    call divergence(domain, grid, 0, viscosity%stress_t, viscosity%stress_f, viscosity%u2, viscosity%v2)
    do j = 1, domain%nj
      do i = 1, domain%ni
        fu(i, j) = fu(i, j) + viscosity%u2(i, j)/(0.5_wp*(h(i, j) + h(i + 1, j)))
        fv(i, j) = fv(i, j) + viscosity%v2(i, j)/(0.5_wp*(h(i, j) + h(i, j + 1)))
      end do
    end do
  end subroutine add_stress

  subroutine stress_at_cells(domain, viscosity, h)
    type(domain_type), intent(in) :: domain
    type(viscosity_type), intent(inout) :: viscosity
    real(wp), intent(in), contiguous :: h(1 - domain%hw:, 1 - domain%hw:)
    real(wp) :: rate   !< of strain [s-1]
    integer :: i, j

    rate = 0
    associate (tension => viscosity%tension, shear => viscosity%shear)
      do j = 1, domain%nj + 1
        do i = 1, domain%ni + 1
          if (viscosity%flow_dependent) then
            rate = sqrt(tension(i, j)*tension(i, j) &
              + 0.25_wp*((shear(i - 1, j - 1)*shear(i - 1, j - 1) + shear(i, j)*shear(i, j)) &
                         + (shear(i - 1, j)*shear(i - 1, j) + shear(i, j - 1)*shear(i, j - 1))))
          end if
          viscosity%stress_t(i, j) = h(i, j)*( &
            laplacian(viscosity, rate, viscosity%length_t(i, j), viscosity%laplacian_t(i, j))*tension(i, j) &
            - biharmonic(viscosity, rate, viscosity%length_t(i, j), viscosity%biharmonic_t(i, j)) &
            *viscosity%tension2(i, j))
        end do
      end do
    end associate
  end subroutine stress_at_cells

  subroutine stress_at_corners(domain, viscosity, h)
    type(domain_type), intent(in) :: domain
    type(viscosity_type), intent(inout) :: viscosity
    real(wp), intent(in), contiguous :: h(1 - domain%hw:, 1 - domain%hw:)
    real(wp) :: rate        !< of strain [s-1]
    real(wp) :: thickness   !< of the sea cells around the corner [m]
    integer :: i, j

    rate = 0
    associate (tension => viscosity%tension, shear => viscosity%shear, area => viscosity%sea_area_t)
      do j = 0, domain%nj
        do i = 0, domain%ni
          if (viscosity%flow_dependent) then
            rate = sqrt(shear(i, j)*shear(i, j) &
              + 0.25_wp*((tension(i, j)*tension(i, j) + tension(i + 1, j + 1)*tension(i + 1, j + 1)) &
                         + (tension(i + 1, j)*tension(i + 1, j) + tension(i, j + 1)*tension(i, j + 1))))
          end if
          thickness = ((area(i, j)*h(i, j) + area(i + 1, j + 1)*h(i + 1, j + 1)) &
                       + (area(i + 1, j)*h(i + 1, j) + area(i, j + 1)*h(i, j + 1))) &
            /max((area(i, j) + area(i + 1, j + 1)) + (area(i + 1, j) + area(i, j + 1)), tiny(1.0_wp))
          viscosity%stress_f(i, j) = thickness*( &
            laplacian(viscosity, rate, viscosity%length_f(i, j), viscosity%laplacian_f(i, j))*shear(i, j) &
            - biharmonic(viscosity, rate, viscosity%length_f(i, j), viscosity%biharmonic_f(i, j)) &
            *viscosity%shear2(i, j))
        end do
      end do
    end associate
  end subroutine stress_at_corners

  !> nu = constant + C rate length2, the latter bounded for stability [m2 s-1].
  pure real(wp) function laplacian(viscosity, rate, length, largest)
    type(viscosity_type), intent(in) :: viscosity
    real(wp), intent(in) :: rate, length, largest
    laplacian = viscosity%laplacian
    if (viscosity%smagorinsky_laplacian > 0) then
      laplacian = max(laplacian, min(laplacian + viscosity%smagorinsky_laplacian*rate*length, largest))
    end if
  end function laplacian

  !> nu4 = constant + C rate length4, the latter bounded for stability [m4 s-1].
  pure real(wp) function biharmonic(viscosity, rate, length, largest)
    type(viscosity_type), intent(in) :: viscosity
    real(wp), intent(in) :: rate, length, largest
    biharmonic = viscosity%biharmonic
    if (viscosity%smagorinsky_biharmonic > 0) then
      biharmonic = max(biharmonic, &
        min(biharmonic + viscosity%smagorinsky_biharmonic*rate*(length*length), largest))
    end if
  end function biharmonic

end module ocean_viscosity

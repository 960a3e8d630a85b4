! SPDX-License-Identifier: MIT
!> Zanna-Bolton 2020 closure; the written form is docs/closures.md.
!>
!> Every expression rounds exactly as its namesake in ml_server/closures/zanna_bolton.py does:
!> change an order of operations in both or in neither.
!> T arrays and corner arrays share one index box; corner (i, j) is north-east of cell (i, j).
module zanna_bolton
  use, intrinsic :: ieee_arithmetic, only: ieee_quiet_nan, ieee_value
  use ocean_domain, only: domain_type, halo_update
  use ocean_grid, only: grid_type
  use ocean_kinds, only: wp
  implicit none (type, external)
  private

  public :: zanna_bolton_forcing

  real(wp), parameter :: filter_weight = 0.0625_wp   !< 1/16: [1 2 1] x [1 2 1] sums to 16

contains

  !> Subgrid forcing of the owned cells: su on east faces, sv on north faces [m s-2].
  !> u, v, h are halo-updated on entry; the halo is at least 2 cells wide.
  subroutine zanna_bolton_forcing(domain, grid, preset, u, v, h, su, sv)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    character(*), intent(in) :: preset   !< raw, smooth or reynolds
    real(wp), intent(in), contiguous :: u(1 - domain%hw:, 1 - domain%hw:, :)      !< [m s-1]
    real(wp), intent(in), contiguous :: v(1 - domain%hw:, 1 - domain%hw:, :)      !< [m s-1]
    real(wp), intent(in), contiguous :: h(1 - domain%hw:, 1 - domain%hw:, :)      !< [m]
    real(wp), intent(inout), contiguous :: su(1 - domain%hw:, 1 - domain%hw:, :)  !< [m s-2]
    real(wp), intent(inout), contiguous :: sv(1 - domain%hw:, 1 - domain%hw:, :)  !< [m s-2]

    real(wp), allocatable, dimension(:, :, :) :: tension, shear, vorticity   !< [s-1]
    real(wp), allocatable, dimension(:, :, :) :: txx, tyy, txy               !< [m2 s-2]
    real(wp) :: gamma
    integer :: sharpening_passes, smoothing_passes

    call read_preset(preset, gamma, sharpening_passes, smoothing_passes)

    allocate (tension, shear, vorticity, mold=u)
    call velocity_gradients(domain, grid, u, v, tension, shear, vorticity)
    call sharpen(domain, grid, sharpening_passes, tension, shear, vorticity)

    allocate (txx, tyy, txy, mold=u)
    call stress(domain, grid, gamma, tension, shear, vorticity, txx, tyy, txy)
    call smooth(domain, grid%mask_t, grid%mask_t, grid%mask_f, smoothing_passes, txx, tyy, txy)

    call stress_divergence(domain, grid, h, txx, tyy, txy, su, sv)
  end subroutine zanna_bolton_forcing

  pure subroutine read_preset(preset, gamma, sharpening_passes, smoothing_passes)
    character(*), intent(in) :: preset
    real(wp), intent(out) :: gamma   !< strength [1]
    integer, intent(out) :: sharpening_passes, smoothing_passes

    sharpening_passes = 0
    smoothing_passes = 0
    select case (preset)
    case ('raw')
      gamma = 0.5_wp
    case ('smooth')
      gamma = 1.0_wp
      smoothing_passes = 4
    case ('reynolds')
      gamma = 2.0_wp
      sharpening_passes = 4
      smoothing_passes = 4
    case default
      gamma = ieee_value(gamma, ieee_quiet_nan)   ! the namelist is validated; a slip must not run on
    end select
  end subroutine read_preset

  !> Tension at T points; shear and vorticity at corners, 0 at those that touch land.
  !> Valid one cell beyond what the stress needs: nothing is exchanged here.
  pure subroutine velocity_gradients(domain, grid, u, v, tension, shear, vorticity)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    real(wp), intent(in), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:, :) :: u, v
    real(wp), intent(out), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:, :) :: &
      tension, shear, vorticity
    real(wp), allocatable, dimension(:, :) :: u_open, v_open   !< [m s-1], 0 on closed faces
    integer :: k

    allocate (u_open, v_open, mold=u(:, :, 1))
    tension = 0
    shear = 0
    vorticity = 0
    do k = 1, size(u, 3)
      u_open = merge(u(:, :, k), 0.0_wp, grid%mask_u > 0)
      v_open = merge(v(:, :, k), 0.0_wp, grid%mask_v > 0)
      call gradients_of_layer(domain, grid, u_open, v_open, &
        tension(:, :, k), shear(:, :, k), vorticity(:, :, k))
    end do
  end subroutine velocity_gradients

  pure subroutine gradients_of_layer(domain, grid, u, v, tension, shear, vorticity)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    real(wp), intent(in), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:) :: u, v
    real(wp), intent(inout), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:) :: &
      tension, shear, vorticity
    integer :: i, j

    associate (g => grid)
      do j = 0, domain%nj + 2
        do i = 0, domain%ni + 2
          tension(i, j) = &
            (g%dy_t(i, j)/g%dx_t(i, j))*(u(i, j)/g%dy_u(i, j) - u(i - 1, j)/g%dy_u(i - 1, j)) &
            - (g%dx_t(i, j)/g%dy_t(i, j))*(v(i, j)/g%dx_v(i, j) - v(i, j - 1)/g%dx_v(i, j - 1))
        end do
      end do
      do j = -1, domain%nj + 1
        do i = -1, domain%ni + 1
          if (.not. g%mask_f(i, j) > 0) cycle   ! free slip: no shear and no vorticity at walls
          shear(i, j) = &
            (g%dx_f(i, j)/g%dy_f(i, j))*(u(i, j + 1)/g%dx_u(i, j + 1) - u(i, j)/g%dx_u(i, j)) &
            + (g%dy_f(i, j)/g%dx_f(i, j))*(v(i + 1, j)/g%dy_v(i + 1, j) - v(i, j)/g%dy_v(i, j))
          vorticity(i, j) = ((v(i + 1, j)*g%dy_v(i + 1, j) - v(i, j)*g%dy_v(i, j)) &
            - (u(i, j + 1)*g%dx_u(i, j + 1) - u(i, j)*g%dx_u(i, j)))/g%area_f(i, j)
        end do
      end do
    end associate
  end subroutine gradients_of_layer

  !> Keep what the filter would take away. Valid where the gradients were: no exchange at the end.
  subroutine sharpen(domain, grid, passes, tension, shear, vorticity)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    integer, intent(in) :: passes
    real(wp), intent(inout), contiguous, dimension(:, :, :) :: tension, shear, vorticity
    real(wp), allocatable, dimension(:, :, :) :: smooth_tension, smooth_shear, smooth_vorticity

    if (passes == 0) return
    smooth_tension = tension
    smooth_shear = shear
    smooth_vorticity = vorticity
    call smooth(domain, grid%mask_t, grid%mask_f, grid%mask_f, passes, &
      smooth_tension, smooth_shear, smooth_vorticity)
    tension = tension - smooth_tension
    shear = shear - smooth_shear
    vorticity = vorticity - smooth_vorticity
  end subroutine sharpen

  !> Filter three fields `passes` times. In: valid one cell into the halo; out: all of the halo.
  subroutine smooth(domain, mask_a, mask_b, mask_c, passes, a, b, c)
    type(domain_type), intent(in) :: domain
    real(wp), intent(in), contiguous, dimension(:, :) :: mask_a, mask_b, mask_c
    integer, intent(in) :: passes
    real(wp), intent(inout), contiguous, dimension(:, :, :) :: a, b, c
    integer :: pass

    do pass = 1, passes
      call filter_pass(domain, mask_a, a)
      call filter_pass(domain, mask_b, b)
      call filter_pass(domain, mask_c, c)
      call halo_update(domain, a, b, c)
    end do
  end subroutine smooth

  !> [1 2 1] x [1 2 1] / 16 on owned cells, x first, zero at walls.
  pure subroutine filter_pass(domain, mask, field)
    type(domain_type), intent(in) :: domain
    real(wp), intent(in), contiguous :: mask(1 - domain%hw:, 1 - domain%hw:)
    real(wp), intent(inout), contiguous :: field(1 - domain%hw:, 1 - domain%hw:, :)
    real(wp) :: along_x(domain%ni, 0:domain%nj + 1)
    integer :: i, j, k

    do k = 1, size(field, 3)
      do j = 0, domain%nj + 1
        do i = 1, domain%ni
          along_x(i, j) = (field(i - 1, j, k) + field(i + 1, j, k)) + 2.0_wp*field(i, j, k)
        end do
      end do
      do j = 1, domain%nj
        do i = 1, domain%ni
          field(i, j, k) = ((along_x(i, j - 1) + along_x(i, j + 1)) + 2.0_wp*along_x(i, j)) &
            *(mask(i, j)*filter_weight)
        end do
      end do
    end do
  end subroutine filter_pass

  !> txx, tyy at T points and txy at corners, one cell into the halo: what a filter pass reads.
  pure subroutine stress(domain, grid, gamma, tension, shear, vorticity, txx, tyy, txy)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    real(wp), intent(in) :: gamma
    real(wp), intent(in), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:, :) :: &
      tension, shear, vorticity
    real(wp), intent(out), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:, :) :: txx, tyy, txy
    real(wp) :: product_f(-1:domain%ni + 1, -1:domain%nj + 1)   !< area x vorticity x shear [m2 s-2]
    real(wp) :: shear_t, vorticity_t, tension_f, half_square, product, kappa_t, kappa_f
    integer :: i, j, k

    txx = 0
    tyy = 0
    txy = 0
    associate (g => grid)
      do k = 1, size(tension, 3)
        do j = -1, domain%nj + 1
          do i = -1, domain%ni + 1
            product_f(i, j) = (g%area_f(i, j)*vorticity(i, j, k))*shear(i, j, k)
          end do
        end do
        do j = 0, domain%nj + 1
          do i = 0, domain%ni + 1
            shear_t = mean_of_four(shear(i - 1, j - 1, k), shear(i, j, k), &
              shear(i - 1, j, k), shear(i, j - 1, k))
            vorticity_t = mean_of_four(vorticity(i - 1, j - 1, k), vorticity(i, j, k), &
              vorticity(i - 1, j, k), vorticity(i, j - 1, k))
            half_square = 0.5_wp*((vorticity_t*vorticity_t + shear_t*shear_t) &
              + tension(i, j, k)*tension(i, j, k))
            product = mean_of_four(product_f(i - 1, j - 1), product_f(i, j), &
              product_f(i - 1, j), product_f(i, j - 1))/g%area_t(i, j)
            tension_f = mean_of_four(tension(i, j, k), tension(i + 1, j + 1, k), &
              tension(i, j + 1, k), tension(i + 1, j, k))
            kappa_t = (-gamma*g%area_t(i, j))*g%mask_t(i, j)
            kappa_f = (-gamma*g%area_f(i, j))*g%mask_f(i, j)
            txx(i, j, k) = kappa_t*(half_square - product)
            tyy(i, j, k) = kappa_t*(half_square + product)
            txy(i, j, k) = kappa_f*(vorticity(i, j, k)*tension_f)
          end do
        end do
      end do
    end associate
  end subroutine stress

  !> Force of the thickness-weighted stress on the owned faces, per mass.
  pure subroutine stress_divergence(domain, grid, h, txx, tyy, txy, su, sv)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    real(wp), intent(in), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:, :) :: h, txx, tyy, txy
    real(wp), intent(inout), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:, :) :: su, sv
    real(wp), dimension(0:domain%ni + 2, 0:domain%nj + 2) :: h_t       !< [m], 0 on land
    real(wp), dimension(0:domain%ni + 1, 0:domain%nj + 1) :: flux_xx, flux_yy, flux_xy
    integer :: i, j, k

    associate (g => grid)
      do k = 1, size(h, 3)
        do j = 0, domain%nj + 2
          do i = 0, domain%ni + 2
            h_t(i, j) = merge(h(i, j, k), 0.0_wp, g%mask_t(i, j) > 0)
          end do
        end do
        do j = 0, domain%nj + 1
          do i = 0, domain%ni + 1
            flux_xx(i, j) = (txx(i, j, k)*h_t(i, j))*(g%dy_t(i, j)*g%dy_t(i, j))
            flux_yy(i, j) = (tyy(i, j, k)*h_t(i, j))*(g%dx_t(i, j)*g%dx_t(i, j))
            flux_xy(i, j) = txy(i, j, k)*mean_of_four(h_t(i, j), h_t(i + 1, j + 1), &
              h_t(i, j + 1), h_t(i + 1, j))
          end do
        end do
        do j = 1, domain%nj
          do i = 1, domain%ni
            su(i, j, k) = acceleration( &
              (flux_xx(i + 1, j) - flux_xx(i, j))/g%dy_u(i, j) &
              + ((g%dx_f(i, j)*g%dx_f(i, j))*flux_xy(i, j) &
              - (g%dx_f(i, j - 1)*g%dx_f(i, j - 1))*flux_xy(i, j - 1))/g%dx_u(i, j), &
              g%area_u(i, j), 0.5_wp*(h_t(i, j) + h_t(i + 1, j)), g%mask_u(i, j))
            sv(i, j, k) = acceleration( &
              (flux_yy(i, j + 1) - flux_yy(i, j))/g%dx_v(i, j) &
              + ((g%dy_f(i, j)*g%dy_f(i, j))*flux_xy(i, j) &
              - (g%dy_f(i - 1, j)*g%dy_f(i - 1, j))*flux_xy(i - 1, j))/g%dy_v(i, j), &
              g%area_v(i, j), 0.5_wp*(h_t(i, j) + h_t(i, j + 1)), g%mask_v(i, j))
          end do
        end do
      end do
    end associate
  end subroutine stress_divergence

  !> Divide by the volume of a face; closed and massless faces get +0.
  pure real(wp) function acceleration(force, area, thickness, mask)
    real(wp), intent(in) :: force      !< per density [m4 s-2]
    real(wp), intent(in) :: area       !< [m2]
    real(wp), intent(in) :: thickness  !< [m]
    real(wp), intent(in) :: mask
    acceleration = 0
    if (mask > 0 .and. thickness > 0) acceleration = force/(area*thickness)
  end function acceleration

  !> The pairs make mirrored fields give mirrored bits.
  pure real(wp) function mean_of_four(south_west, north_east, north_west, south_east)
    real(wp), intent(in) :: south_west, north_east, north_west, south_east
    mean_of_four = 0.25_wp*((south_west + north_east) + (north_west + south_east))
  end function mean_of_four

end module zanna_bolton

! SPDX-License-Identifier: MIT
!> The land mask at T points.
module ocean_land
  use ocean_config, only: grid_config_type
  use ocean_domain, only: domain_type, halo_update, scatter_from_root
  use ocean_kinds, only: wp
  use ocean_netcdf, only: close_file, open_file, read_variable
  implicit none (type, external)
  private

  public :: fill_land_mask

contains

  !> mask_t: 1 sea, 0 land and beyond closed boundaries; halo included.
  subroutine fill_land_mask(config, domain, mask_t)
    type(grid_config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    real(wp), intent(out), contiguous :: mask_t(1 - domain%hw:, 1 - domain%hw:)
    real(wp), allocatable :: global(:, :, :)
    integer :: i, j, file

    mask_t(:, :) = 0
    if (config%land == 'file') then
      allocate (global(config%nx, config%ny, 1))
      if (domain%rank == 0) then
        file = open_file(trim(config%land_file))
        call read_variable(file, config%land_file, 'mask', global)
        call close_file(file, config%land_file)
        global = merge(1.0_wp, 0.0_wp, global > 0.5_wp)
      end if
      call scatter_from_root(domain, global(:, :, 1), mask_t)
    else
      do j = 1, domain%nj
        do i = 1, domain%ni
          if (is_sea(config, domain%i0 + i - 1, domain%j0 + j - 1)) mask_t(i, j) = 1
        end do
      end do
    end if
    call halo_update(domain, mask_t)
  end subroutine fill_land_mask

  !> Shapes are given in tenths of the basin.
  pure logical function is_sea(config, i, j)
    type(grid_config_type), intent(in) :: config
    integer, intent(in) :: i, j   !< global cell
    real(wp) :: x, y

    x = 10*(i - 0.5_wp)/config%nx
    y = 10*(j - 0.5_wp)/config%ny
    select case (config%land)
    case ('island')      ! in the middle, a fifth of the basin wide
      is_sea = .not. (abs(x - 5) < 1 .and. abs(y - 5) < 1)
    case ('peninsula')   ! from the middle of the north wall, three tenths of the basin long
      is_sea = .not. (abs(x - 5) < 0.75_wp .and. y > 7)
    case default
      is_sea = .true.
    end select
  end function is_sea

end module ocean_land

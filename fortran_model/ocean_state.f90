! SPDX-License-Identifier: MIT
!> What the model carries from step to step: all of it is in a restart.
module ocean_state
  use ocean_config, only: config_type
  use ocean_domain, only: domain_type, global_sum
  use ocean_grid, only: grid_type
  use ocean_kinds, only: dates, wp
  implicit none (type, external)
  private

  public :: state_type, build_state, layer_volume

  !> Fields (1-hw:ni+hw, 1-hw:nj+hw, nz), 0 beyond closed boundaries.
  type :: state_type
    integer(dates) :: step = 0                      !< steps since the first start
    integer(dates) :: date = 0                      !< [s since the origin]
    real(wp), allocatable :: u(:, :, :)             !< on east faces [m s-1]
    real(wp), allocatable :: v(:, :, :)             !< on north faces [m s-1]
    real(wp), allocatable :: h(:, :, :)             !< layer thickness [m]
    real(wp), allocatable :: su(:, :, :), sv(:, :, :)             !< closure forcing applied [m s-2]
    real(wp), allocatable :: su_next(:, :, :), sv_next(:, :, :)   !< computed, applied one step later [m s-2]
    real(wp), allocatable :: volume(:)              !< of each layer at the first start [m3]
  end type state_type

contains

  function build_state(config, domain) result(state)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(state_type) :: state
    integer :: hw

    hw = domain%hw
    allocate (state%u(1 - hw:domain%ni + hw, 1 - hw:domain%nj + hw, config%grid%nz), source=0.0_wp)
    allocate (state%v, state%h, state%su, state%sv, state%su_next, state%sv_next, source=state%u)
    allocate (state%volume(config%grid%nz), source=0.0_wp)
  end function build_state

  !> Volume of each layer over sea [m3].
  function layer_volume(domain, grid, h) result(volume)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    real(wp), intent(in), contiguous :: h(1 - domain%hw:, 1 - domain%hw:, :)
    real(wp) :: volume(size(h, 3))
    real(wp), allocatable :: cells(:, :)
    integer :: k
    do k = 1, size(h, 3)
      cells = grid%area_t*grid%mask_t*h(:, :, k)
      volume(k) = global_sum(domain, cells)
    end do
  end function layer_volume

end module ocean_state

! SPDX-License-Identifier: MIT
!> One time step: what is computed once, and the three stages of Wicker and Skamarock (2002).
module ocean_step
  use ocean_config, only: config_type
  use ocean_domain, only: domain_type, halo_update
  use ocean_dynamics, only: build_dynamics, dynamics_type, inviscid_tendencies
  use ocean_forcing, only: add_forcing, build_forcing, forcing_type
  use ocean_grid, only: grid_type
  use ocean_kinds, only: wp
  use ocean_state, only: state_type
  use ocean_viscosity, only: add_viscosity, build_viscosity, viscosity_type
  implicit none (type, external)
  private

  public :: stepper_type, build_stepper, freeze_forcing, step_stages

  type :: stepper_type
    real(wp) :: dt = 0                                  !< [s]
    logical :: closure = .false.
    type(dynamics_type) :: dynamics
    type(viscosity_type) :: viscosity
    type(forcing_type) :: forcing
    real(wp), allocatable, dimension(:, :, :) :: fu, fv       !< frozen over the stages [m s-2]
    real(wp), allocatable, dimension(:, :, :) :: du, dv, dh   !< tendencies of a stage
    real(wp), allocatable, dimension(:, :, :) :: u, v, h      !< state of a stage
  end type stepper_type

contains

  function build_stepper(config, domain, grid, state) result(stepper)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(state_type), intent(in) :: state
    type(stepper_type) :: stepper

    stepper%dt = config%time%dt
    stepper%closure = config%closure%kind /= 'none'
    stepper%dynamics = build_dynamics(config, domain, grid)
    stepper%viscosity = build_viscosity(config, domain, grid)
    stepper%forcing = build_forcing(config, domain, grid)
    ! an allocated source gives its bounds too; an expression would not
    allocate (stepper%u, source=state%u)
    allocate (stepper%v, source=state%v)
    allocate (stepper%h, source=state%h)
    allocate (stepper%fu, stepper%fv, stepper%du, stepper%dv, stepper%dh, source=state%u)
  end function build_stepper

  !> Wind, drag and viscosity of the state at the start of the step, whose halo is up to date.
  subroutine freeze_forcing(domain, grid, stepper, state)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(stepper_type), intent(inout) :: stepper
    type(state_type), intent(in) :: state

    stepper%fu(:, :, :) = 0
    stepper%fv(:, :, :) = 0
    call add_viscosity(domain, grid, stepper%viscosity, state%u, state%v, state%h, stepper%fu, stepper%fv)
    call add_forcing(domain, stepper%forcing, state%u, state%v, state%h, stepper%fu, stepper%fv)
  end subroutine freeze_forcing

  !> Advance u, v, h by one step under the frozen forcing and the closure's state%su, state%sv.
  subroutine step_stages(domain, grid, stepper, state)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(stepper_type), intent(inout) :: stepper
    type(state_type), intent(inout) :: state

    if (stepper%closure) call add_closure(domain, grid, state, stepper)
    call inviscid_tendencies(domain, grid, stepper%dynamics, state%u, state%v, state%h, &
      stepper%du, stepper%dv, stepper%dh)
    call advance(domain, stepper, stepper%dt/3, state, stepper%u, stepper%v, stepper%h)
    call halo_update(domain, stepper%u, stepper%v, stepper%h)
    call inviscid_tendencies(domain, grid, stepper%dynamics, stepper%u, stepper%v, stepper%h, &
      stepper%du, stepper%dv, stepper%dh)
    call advance(domain, stepper, stepper%dt/2, state, stepper%u, stepper%v, stepper%h)
    call halo_update(domain, stepper%u, stepper%v, stepper%h)
    call inviscid_tendencies(domain, grid, stepper%dynamics, stepper%u, stepper%v, stepper%h, &
      stepper%du, stepper%dv, stepper%dh)
    call advance(domain, stepper, stepper%dt, state, stepper%u, stepper%v, stepper%h)
    state%u(:, :, :) = stepper%u
    state%v(:, :, :) = stepper%v
    state%h(:, :, :) = stepper%h
  end subroutine step_stages

  subroutine add_closure(domain, grid, state, stepper)
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    type(state_type), intent(in) :: state
    type(stepper_type), intent(inout) :: stepper
    integer :: i, j, k
    do k = 1, size(state%u, 3)
      do j = 1, domain%nj
        do i = 1, domain%ni
          stepper%fu(i, j, k) = stepper%fu(i, j, k) + grid%mask_u(i, j)*state%su(i, j, k)
          stepper%fv(i, j, k) = stepper%fv(i, j, k) + grid%mask_v(i, j)*state%sv(i, j, k)
        end do
      end do
    end do
  end subroutine add_closure

  !> The owned cells of start + interval (tendency + frozen forcing).
  subroutine advance(domain, stepper, interval, start, u, v, h)
    type(domain_type), intent(in) :: domain
    type(stepper_type), intent(in) :: stepper
    real(wp), intent(in) :: interval   !< [s]
    type(state_type), intent(in) :: start
    real(wp), intent(inout), contiguous, dimension(1 - domain%hw:, 1 - domain%hw:, :) :: u, v, h
    integer :: i, j, k

    do k = 1, size(u, 3)
      do j = 1, domain%nj
        do i = 1, domain%ni
          u(i, j, k) = start%u(i, j, k) + interval*(stepper%du(i, j, k) + stepper%fu(i, j, k))
          v(i, j, k) = start%v(i, j, k) + interval*(stepper%dv(i, j, k) + stepper%fv(i, j, k))
          h(i, j, k) = start%h(i, j, k) + interval*stepper%dh(i, j, k)
        end do
      end do
    end do
  end subroutine advance

end module ocean_step

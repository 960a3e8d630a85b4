! SPDX-License-Identifier: MIT
!> All calls of the coupler: what the model offers and asks for, and when.
module ocean_coupling
  use halocline, only: hcl_define_field, hcl_define_grid, hcl_finalize, hcl_get, hcl_in, hcl_init, &
    hcl_out, hcl_put, hcl_start, hcl_static, hcl_write_restart
  use mpi_f08, only: MPI_Comm
  use ocean_config, only: config_type
  use ocean_domain, only: domain_type
  use ocean_grid, only: grid_type
  use ocean_kinds, only: dates, wp
  implicit none (type, external)
  private

  public :: coupling_init, coupling_start, coupling_put, coupling_get, coupling_write_restart, &
    coupling_finish

  integer :: id_u = 0, id_v = 0, id_h = 0     !< offered at every step
  integer :: id_su = 0, id_sv = 0             !< asked for: the closure's forcing

contains

  !> The communicator that the model uses instead of MPI_COMM_WORLD
  subroutine coupling_init(ocean_comm)
    type(MPI_Comm), intent(out) :: ocean_comm
    call hcl_init('ocean', ocean_comm)
  end subroutine coupling_init

  !> Declares grid and fields, agrees with the workers, sends masks and metrics once.
  subroutine coupling_start(config, domain, grid, restart_file, date)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    character(*), intent(in) :: restart_file   !< of the coupler, '' = none
    integer(dates), intent(in) :: date         !< of the first step [s]
    integer :: grid_id, box(4), nz, ids(17)
    nz = config%grid%nz
    box = [domain%i0, domain%i0 + domain%ni - 1, domain%j0, domain%j0 + domain%nj - 1]
    call hcl_define_grid(grid_id, 'ocean', domain%nx, domain%ny, box, domain%hw, &
      periodic=[domain%periodic_x, domain%periodic_y])
    call hcl_define_field(id_u, 'u', grid_id, hcl_out, levels=nz)
    call hcl_define_field(id_v, 'v', grid_id, hcl_out, levels=nz)
    call hcl_define_field(id_h, 'h', grid_id, hcl_out, levels=nz)
    if (config%closure%kind == 'coupled') then
      call hcl_define_field(id_su, 'su', grid_id, hcl_in, levels=nz)
      call hcl_define_field(id_sv, 'sv', grid_id, hcl_in, levels=nz)
    end if
    call define_static(grid_id, ids)
    call hcl_start(date, restart_file)
    call put_static(grid, ids, date)
  end subroutine coupling_start

  !> A worker never recomputes what the model knows.
  subroutine define_static(grid_id, ids)
    integer, intent(in) :: grid_id
    integer, intent(out) :: ids(17)
    character(10), parameter :: names(17) = [character(10) :: &
      'dx_t', 'dx_u', 'dx_v', 'dx_f', 'dy_t', 'dy_u', 'dy_v', 'dy_f', &
      'area_t', 'area_u', 'area_v', 'area_f', 'mask_t', 'mask_u', 'mask_v', 'mask_f', 'coriolis_f']
    integer :: i
    do i = 1, size(names)
      call hcl_define_field(ids(i), trim(names(i)), grid_id, hcl_static)
    end do
  end subroutine define_static

  !> In the order of define_static.
  subroutine put_static(grid, ids, date)
    type(grid_type), intent(in) :: grid
    integer, intent(in) :: ids(17)
    integer(dates), intent(in) :: date
    call hcl_put(ids(1), date, grid%dx_t)
    call hcl_put(ids(2), date, grid%dx_u)
    call hcl_put(ids(3), date, grid%dx_v)
    call hcl_put(ids(4), date, grid%dx_f)
    call hcl_put(ids(5), date, grid%dy_t)
    call hcl_put(ids(6), date, grid%dy_u)
    call hcl_put(ids(7), date, grid%dy_v)
    call hcl_put(ids(8), date, grid%dy_f)
    call hcl_put(ids(9), date, grid%area_t)
    call hcl_put(ids(10), date, grid%area_u)
    call hcl_put(ids(11), date, grid%area_v)
    call hcl_put(ids(12), date, grid%area_f)
    call hcl_put(ids(13), date, grid%mask_t)
    call hcl_put(ids(14), date, grid%mask_u)
    call hcl_put(ids(15), date, grid%mask_v)
    call hcl_put(ids(16), date, grid%mask_f)
    call hcl_put(ids(17), date, grid%coriolis_f)
  end subroutine put_static

  !> At the start of a step; returns as soon as the arrays may change.
  subroutine coupling_put(date, u, v, h)
    integer(dates), intent(in) :: date
    real(wp), intent(in), contiguous :: u(:, :, :), v(:, :, :), h(:, :, :)   !< with halo
    call hcl_put(id_u, date, u)
    call hcl_put(id_v, date, v)
    call hcl_put(id_h, date, h)
  end subroutine coupling_put

  !> Waits for the forcing of this step; between coupling dates su, sv keep what they hold.
  subroutine coupling_get(date, su, sv, received)
    integer(dates), intent(in) :: date
    real(wp), intent(inout), contiguous :: su(:, :, :), sv(:, :, :)          !< with halo
    logical, intent(out) :: received
    received = .false.
    if (id_su == 0) return
    call hcl_get(id_su, date, su, received)
    call hcl_get(id_sv, date, sv, received)
  end subroutine coupling_get

  subroutine coupling_write_restart(date, file)
    integer(dates), intent(in) :: date
    character(*), intent(in) :: file
    call hcl_write_restart(date, file)
  end subroutine coupling_write_restart

  subroutine coupling_finish()
    call hcl_finalize()
  end subroutine coupling_finish

end module ocean_coupling

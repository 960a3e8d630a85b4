! SPDX-License-Identifier: MIT
!> All calls of the coupler.
module ocean_coupling
  use mpi_f08, only: MPI_Comm, MPI_COMM_WORLD
  use ocean_config, only: config_type
  use ocean_domain, only: domain_type
  use ocean_grid, only: grid_type
  use ocean_job, only: abort_run
  use ocean_kinds, only: dates, wp
  implicit none (type, external)
  private

  public :: coupling_init, coupling_start, coupling_put, coupling_get, coupling_write_restart, &
    coupling_finish

  character(*), parameter :: absent = '&coupling enabled: this executable was built without the coupler'

contains

  subroutine coupling_init(ocean_comm)
    type(MPI_Comm), intent(out) :: ocean_comm
    ocean_comm = MPI_COMM_WORLD
    call abort_run(absent)
  end subroutine coupling_init

  subroutine coupling_start(config, domain, grid, restart_file)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    character(*), intent(in) :: restart_file   !< '' = none
    if (config%coupling%enabled .or. domain%size < 0 .or. grid%spherical .or. restart_file == '') then
      call abort_run(absent)
    end if
  end subroutine coupling_start

  subroutine coupling_put(date, u, v, h)
    integer(dates), intent(in) :: date
    real(wp), intent(in), contiguous :: u(:, :, :), v(:, :, :), h(:, :, :)
    if (date >= 0 .or. size(u) + size(v) + size(h) > 0) call abort_run(absent)
  end subroutine coupling_put

  subroutine coupling_get(date, su, sv, received)
    integer(dates), intent(in) :: date
    real(wp), intent(inout), contiguous :: su(:, :, :), sv(:, :, :)
    logical, intent(out) :: received
    received = .false.
    if (date >= 0 .or. size(su) + size(sv) > 0) call abort_run(absent)
  end subroutine coupling_get

  subroutine coupling_write_restart(date, file)
    integer(dates), intent(in) :: date
    character(*), intent(in) :: file
    if (date >= 0 .or. file /= '') call abort_run(absent)
  end subroutine coupling_write_restart

  subroutine coupling_finish()
    call abort_run(absent)
  end subroutine coupling_finish

end module ocean_coupling

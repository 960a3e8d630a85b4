! SPDX-License-Identifier: MIT
!> Heat spreads on a periodic sheet. How it is heated, a Python function says: heating.py.
!> With the directory of halocline.pc on PKG_CONFIG_PATH (here .venv/lib/pkgconfig):
!>   mpifort $(pkg-config --cflags halocline) heat.f90 $(pkg-config --libs halocline) -o heat
!>   mpirun -n 2 ./heat : -n 1 python -m mpi4py -m ml_server heat.yaml --component thermostat
program heat
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use halocline, only: hcl_define_field, hcl_define_grid, hcl_finalize, hcl_get, hcl_in, hcl_init, &
    hcl_out, hcl_put, hcl_start
  use mpi_f08, only: MPI_Comm, MPI_Comm_rank, MPI_Comm_size, MPI_DOUBLE_PRECISION, MPI_Sendrecv, &
    MPI_STATUS_IGNORE
  implicit none (type, external)
  integer, parameter :: nx = 32, ny = 24, steps = 40, dt = 60   ! cells, steps, time step [s]
  real(real64), parameter :: r = 0.1_real64                     ! diffusivity * dt / dx**2
  type(MPI_Comm) :: comm
  integer :: rank, ranks, first, last, grid, temperature, heating, step, unit
  integer(int64) :: date
  real(real64), allocatable :: t(:, :), q(:, :)                 ! [K], [K per step]; halo of 1 cell
  logical :: received
  character(16) :: file

  call hcl_init('sheet', comm)                  ! comm is what MPI_COMM_WORLD was before
  call MPI_Comm_rank(comm, rank)
  call MPI_Comm_size(comm, ranks)
  first = ny*rank/ranks + 1                     ! this rank owns rows first..last
  last = ny*(rank + 1)/ranks
  call hcl_define_grid(grid, 'sheet', nx, ny, [1, nx, first, last], halo=1)
  call hcl_define_field(temperature, 'temperature', grid, hcl_out)
  call hcl_define_field(heating, 'heating', grid, hcl_in)
  call hcl_start()

  allocate (t(0:nx + 1, first - 1:last + 1), q(0:nx + 1, first - 1:last + 1), source=0.0_real64)
  if (first <= 5 .and. 5 <= last) t(9, 5) = 100  ! a hot spot
  do step = 0, steps - 1
    date = int(step, int64)*dt
    call hcl_put(temperature, date, t)          ! leaves at once; the model may go on
    call fill_halo()
    call hcl_get(heating, date, q, received)    ! waits for Python's answer
    t(1:nx, first:last) = t(1:nx, first:last) + q(1:nx, first:last) &
      + r*(t(0:nx - 1, first:last) + t(2:nx + 1, first:last) + t(1:nx, first - 1:last - 1) &
      + t(1:nx, first + 1:last + 1) - 4*t(1:nx, first:last))
  end do
  write (file, '("heat.", i0, ".txt")') rank
  open (newunit=unit, file=file, action='write')
  write (unit, '(32es24.16)') t(1:nx, first:last)
  close (unit)
  call hcl_finalize()                           ! ends MPI too, as hcl_init started it

contains

  subroutine fill_halo()
    t(0, :) = t(nx, :)
    t(nx + 1, :) = t(1, :)
    call MPI_Sendrecv(t(:, last), nx + 2, MPI_DOUBLE_PRECISION, modulo(rank + 1, ranks), 1, &
      t(:, first - 1), nx + 2, MPI_DOUBLE_PRECISION, modulo(rank - 1, ranks), 1, comm, MPI_STATUS_IGNORE)
    call MPI_Sendrecv(t(:, first), nx + 2, MPI_DOUBLE_PRECISION, modulo(rank - 1, ranks), 2, &
      t(:, last + 1), nx + 2, MPI_DOUBLE_PRECISION, modulo(rank + 1, ranks), 2, comm, MPI_STATUS_IGNORE)
  end subroutine fill_halo
end program heat

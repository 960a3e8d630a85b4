! SPDX-License-Identifier: MIT
!> A model whose velocities move by what a network answers, on several grids of one size at once.
!> Usage: network_model NX NY STEPS GRID...; boxes.txt has a line for each rank. initial.bin holds
!> u, v and mask of each grid (x, y, field, grid); each rank leaves u, v and the last answers of the
!> network in single precision (x, y, field, grid) of its cells in final.RANK.bin.
program network_model
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use halocline, only: hcl_define_field, hcl_define_grid, hcl_finalize, hcl_get, hcl_in, hcl_init, &
    hcl_out, hcl_put, hcl_start, hcl_static
  use mpi_f08, only: MPI_Comm, MPI_Comm_rank
  implicit none (type, external)
  integer, parameter :: dt = 10   ! [s]
  real(real64), parameter :: push = 1.0e6_real64   !< of a forcing of 1e-7 m s-2, [s]
  character(*), parameter :: answers(4) = ['su', 'sv', 'ru', 'rv']
  type(MPI_Comm) :: comm
  integer :: nx, ny, steps, grids, rank, box(4), n, g, f, unit, grid, mask
  integer, allocatable :: out(:, :), in(:, :), masks(:)
  real(real64), allocatable :: whole(:, :, :, :), state(:, :, :, :), answer(:, :, :, :)
  character(16) :: word
  logical :: received

  call get_command_argument(1, word); read (word, *) nx
  call get_command_argument(2, word); read (word, *) ny
  call get_command_argument(3, word); read (word, *) steps
  grids = command_argument_count() - 3
  call hcl_init('model', comm)
  call MPI_Comm_rank(comm, rank)
  open (newunit=unit, file='boxes.txt', action='read')
  do n = 0, rank
    read (unit, *) box
  end do
  close (unit)
  allocate (whole(nx, ny, 3, grids), out(2, grids), in(4, grids), masks(grids))
  open (newunit=unit, file='initial.bin', access='stream', action='read')
  read (unit) whole
  close (unit)
  state = whole(box(1):box(2), box(3):box(4), :, :)

  do g = 1, grids
    call get_command_argument(3 + g, word)
    call hcl_define_grid(grid, trim(word), nx, ny, box, 0)
    call hcl_define_field(out(1, g), 'u_'//trim(word), grid, hcl_out)
    call hcl_define_field(out(2, g), 'v_'//trim(word), grid, hcl_out)
    do f = 1, 4
      call hcl_define_field(in(f, g), answers(f)//'_'//trim(word), grid, hcl_in)
    end do
    call hcl_define_field(masks(g), 'mask_'//trim(word), grid, hcl_static)
  end do
  call hcl_start()
  do mask = 1, grids
    call hcl_put(masks(mask), 0_int64, state(:, :, 3, mask))
  end do
  allocate (answer(size(state, 1), size(state, 2), 4, grids))
  do n = 0, steps - 1
    do g = 1, grids
      do f = 1, 2
        call hcl_put(out(f, g), int(n*dt, int64), state(:, :, f, g))
      end do
    end do
    do g = 1, grids
      do f = 1, 4
        call hcl_get(in(f, g), int(n*dt, int64), answer(:, :, f, g), received)
      end do
    end do
    state(:, :, 1:2, :) = state(:, :, 1:2, :) + push*answer(:, :, 1:2, :)
  end do
  call hcl_finalize()
  write (word, '(i0)') rank
  open (newunit=unit, file='final.'//trim(word)//'.bin', access='stream', action='write')
  write (unit) state(:, :, 1:2, :), answer(:, :, 3:4, :)
  close (unit)
end program network_model

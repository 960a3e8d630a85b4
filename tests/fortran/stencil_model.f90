! SPDX-License-Identifier: MIT
!> A model whose state moves by what its workers answer: at each step it puts a scalar and a vector
!> on each of two grids, whose north is folded about T and F points, and adds the answers to them.
!> Usage: stencil_model NX NY STEPS; boxes.txt has a line for each rank. initial.bin holds the state
!> (x, y, field) of the whole grid; each rank leaves its cells in final.RANK.bin.
program stencil_model
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use halocline, only: hcl_define_field, hcl_define_grid, hcl_finalize, hcl_get, hcl_in, hcl_init, &
    hcl_out, hcl_put, hcl_start
  use mpi_f08, only: MPI_Comm, MPI_Comm_rank
  implicit none (type, external)
  character(*), parameter :: names(6) = ['t_T', 'u_T', 'v_T', 't_F', 'u_F', 'v_F']
  integer, parameter :: dt = 10   ! [s]
  type(MPI_Comm) :: comm
  integer :: nx, ny, steps, rank, box(4), grids(2), out(6), in(6), n, f, unit
  real(real64), allocatable :: whole(:, :, :), state(:, :, :), answer(:, :)
  character(8) :: word
  logical :: received

  call get_command_argument(1, word); read (word, *) nx
  call get_command_argument(2, word); read (word, *) ny
  call get_command_argument(3, word); read (word, *) steps
  call hcl_init('model', comm)
  call MPI_Comm_rank(comm, rank)
  open (newunit=unit, file='boxes.txt', action='read')
  do n = 0, rank
    read (unit, *) box
  end do
  close (unit)
  allocate (whole(nx, ny, 6))
  open (newunit=unit, file='initial.bin', access='stream', action='read')
  read (unit) whole
  close (unit)
  state = whole(box(1):box(2), box(3):box(4), :)

  call hcl_define_grid(grids(1), 'T', nx, ny, box, 0)
  call hcl_define_grid(grids(2), 'F', nx, ny, box, 0)
  do f = 1, 6
    call hcl_define_field(out(f), names(f), grids(merge(1, 2, f <= 3)), hcl_out)
    call hcl_define_field(in(f), 'd'//names(f), grids(merge(1, 2, f <= 3)), hcl_in)
  end do
  call hcl_start()
  allocate (answer(size(state, 1), size(state, 2)))
  do n = 0, steps - 1
    do f = 1, 6
      call hcl_put(out(f), int(n*dt, int64), state(:, :, f))
    end do
    do f = 1, 6
      call hcl_get(in(f), int(n*dt, int64), answer, received)
      state(:, :, f) = state(:, :, f) + answer
    end do
  end do
  call hcl_finalize()
  write (word, '(i0)') rank
  open (newunit=unit, file='final.'//trim(word)//'.bin', access='stream', action='write')
  write (unit) state
  close (unit)
end program stencil_model

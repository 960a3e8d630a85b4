! SPDX-License-Identifier: MIT
!> Index lists as runs of cells, and the messages in which workers learn them. The lists of all ranks
!> would not fit on one rank: each worker rank of a component keeps an even share of the cells.
module hcl_points
  use, intrinsic :: iso_fortran_env, only: int64
  use mpi_f08, only: MPI_Request, MPI_INTEGER8, MPI_Isend
  use hcl_error, only: hcl_error_type
  use hcl_protocol, only: tag_lists
  use hcl_state, only: coupler, grid_type
  use hcl_wait, only: wait_request
  implicit none (type, external)
  private
  public :: runs_of_points, runs_of_segments, list_type, lists_for_workers, send_lists

  !> What one worker rank is told: this rank, then of each grid of points whose cells lie in the
  !> worker's share: number of the grid, number of runs, and the runs. Nothing to say: size 0.
  type :: list_type
    integer(int64), allocatable :: words(:)
  end type list_type

contains

  !> (3, run): first cell (from 0), length, first place in the list (from 0)
  pure function runs_of_points(indices) result(runs)
    integer(int64), intent(in) :: indices(:)
    integer(int64), allocatable :: runs(:, :)
    integer :: n, point, found

    found = 0
    do point = 1, size(indices)
      if (begins_run(indices, point)) found = found + 1
    end do
    allocate (runs(3, found))
    n = 0
    do point = 1, size(indices)
      if (begins_run(indices, point)) then
        n = n + 1
        runs(:, n) = [indices(point) - 1, 0_int64, int(point - 1, int64)]
      end if
      runs(2, n) = runs(2, n) + 1
    end do
  end function runs_of_points

  pure logical function begins_run(indices, point)
    integer(int64), intent(in) :: indices(:)
    integer, intent(in) :: point

    begins_run = .true.
    if (point > 1) begins_run = indices(point) /= indices(point - 1) + 1
  end function begins_run

  pure function runs_of_segments(starts, lengths) result(runs)
    integer(int64), intent(in) :: starts(:), lengths(:)
    integer(int64), allocatable :: runs(:, :)
    integer(int64) :: place
    integer :: n, segment

    allocate (runs(3, count(lengths > 0)))
    n = 0
    place = 0
    do segment = 1, size(starts)
      if (lengths(segment) == 0) cycle
      n = n + 1
      runs(:, n) = [starts(segment) - 1, lengths(segment), place]
      place = place + lengths(segment)
    end do
  end function runs_of_segments

  !> One list for each of coupler%workers: worker `part` of the `parts` ranks of its component keeps
  !> cells cells*part/parts up to cells*(part+1)/parts - 1. A run on an edge goes to both sides.
  function lists_for_workers() result(lists)
    type(list_type), allocatable :: lists(:)
    integer(int64) :: part, parts
    integer :: w, g

    allocate (lists(size(coupler%workers)))
    do w = 1, size(lists)
      associate (words => lists(w)%words, leader => coupler%worker_leader(w))
        parts = count(coupler%worker_leader == leader)
        part = count(coupler%worker_leader(:w - 1) == leader)
        lists(w)%words = [integer(int64) ::]
        do g = 1, size(coupler%grids)
          if (coupler%grids(g)%points) lists(w)%words = [lists(w)%words, share(g, part, parts)]
        end do
        if (size(lists(w)%words) > 0) lists(w)%words = [int(coupler%rank, int64), lists(w)%words]
      end associate
    end do
  end function lists_for_workers

  pure function share(grid, part, parts) result(words)
    integer, intent(in) :: grid
    integer(int64), intent(in) :: part, parts
    integer(int64), allocatable :: words(:)
    logical, allocatable :: inside(:)
    integer(int64) :: cells

    associate (runs => coupler%grids(grid)%runs)
      cells = int(coupler%grids(grid)%nx, int64)*coupler%grids(grid)%ny
      inside = runs(1, :) < cells*(part + 1)/parts .and. runs(1, :) + runs(2, :) > cells*part/parts
      words = [integer(int64) ::]
      if (any(inside)) words = [int(grid, int64), count(inside, kind=int64), &
        pack(runs, spread(inside, 1, 3))]
    end associate
  end function share

  subroutine send_lists(lists, error)
    type(list_type), intent(in), asynchronous :: lists(:)
    type(hcl_error_type), allocatable, intent(out) :: error
    type(MPI_Request) :: requests(size(lists))
    integer :: w

    do w = 1, size(lists)
      if (size(lists(w)%words) > 0) call MPI_Isend(lists(w)%words, size(lists(w)%words), &
        MPI_INTEGER8, coupler%workers(w), tag_lists, coupler%world, requests(w))
    end do
    do w = 1, size(lists)
      if (size(lists(w)%words) > 0) call wait_request(requests(w), &
        'a worker to take the index lists', error)
      if (allocated(error)) return
    end do
  end subroutine send_lists
end module hcl_points

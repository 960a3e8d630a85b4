! SPDX-License-Identifier: MIT
!> Who owns which cells, and everything that moves between their owners.
!>
!> Local arrays are dimensioned (1-hw:ni+hw, 1-hw:nj+hw[, nz]); (1:ni, 1:nj) is owned.
module ocean_domain
  use mpi_f08, only: MPI_Allreduce, MPI_Bcast, MPI_Comm, MPI_Comm_rank, MPI_Comm_size, &
    MPI_DOUBLE_PRECISION, MPI_Irecv, MPI_Isend, MPI_LOGICAL, MPI_LOR, MPI_MAX, MPI_MIN, MPI_PROC_NULL, &
    MPI_Recv, MPI_Request, MPI_Send, MPI_STATUS_IGNORE, MPI_STATUSES_IGNORE, MPI_Waitall
  use ocean_job, only: abort_together
  use ocean_kinds, only: wp
  implicit none (type, external)
  private

  public :: domain_type, build_domain
  public :: halo_update, gather_to_root, scatter_from_root
  public :: global_sum, global_max, global_min, global_any

  integer, parameter :: root = 0
  integer, parameter :: tag_down = 11   !< towards smaller x or y
  integer, parameter :: tag_up = 12     !< towards larger x or y
  integer, parameter :: tag_box = 13    !< gather and scatter

  !> The box of one rank in a px x py decomposition of nx x ny cells.
  type :: domain_type
    type(MPI_Comm) :: comm             !< the model's communicator
    integer :: rank = 0, size = 1      !< of comm
    integer :: px = 1, py = 1          !< boxes in x and y
    integer :: nx = 0, ny = 0          !< global cells
    integer :: i0 = 1, j0 = 1          !< global index of the first owned cell
    integer :: ni = 0, nj = 0          !< owned cells
    integer :: hw = 2                  !< halo width
    logical :: periodic_x = .false., periodic_y = .false.
    integer :: west = -1, east = -1, south = -1, north = -1   !< neighbouring ranks
  end type domain_type

  !> Halo cells become their owners' values; beyond a closed boundary they stay as they were.
  interface halo_update
    module procedure halo_update_2d, halo_update_3d
  end interface halo_update

  interface gather_to_root
    module procedure gather_2d, gather_3d
  end interface gather_to_root

  interface scatter_from_root
    module procedure scatter_2d, scatter_3d
  end interface scatter_from_root

contains

  !> px and py: 0 = chosen here, for the shortest total length of box edges.
  function build_domain(comm, nx, ny, px, py, periodic_x, periodic_y, hw) result(domain)
    type(MPI_Comm), intent(in) :: comm
    integer, intent(in) :: nx, ny, px, py, hw
    logical, intent(in) :: periodic_x, periodic_y
    type(domain_type) :: domain
    integer :: column, row

    domain%comm = comm
    call MPI_Comm_rank(comm, domain%rank)
    call MPI_Comm_size(comm, domain%size)
    domain%nx = nx
    domain%ny = ny
    domain%hw = hw
    domain%periodic_x = periodic_x
    domain%periodic_y = periodic_y
    call choose_boxes(domain, px, py)
    call box_of(domain, domain%rank, domain%i0, domain%j0, domain%ni, domain%nj)
    column = mod(domain%rank, domain%px)
    row = domain%rank/domain%px
    domain%west = rank_at(domain, column - 1, row)
    domain%east = rank_at(domain, column + 1, row)
    domain%south = rank_at(domain, column, row - 1)
    domain%north = rank_at(domain, column, row + 1)
  end function build_domain

  subroutine choose_boxes(domain, px, py)
    type(domain_type), intent(inout) :: domain
    integer, intent(in) :: px, py
    integer :: columns, rows, cut, shortest
    character(200) :: message

    shortest = huge(shortest)
    do columns = 1, domain%size
      rows = domain%size/columns
      if (columns*rows /= domain%size) cycle
      if (px > 0 .and. columns /= px) cycle
      if (py > 0 .and. rows /= py) cycle
      if (min(domain%nx/columns, domain%ny/rows) < domain%hw) cycle
      cut = columns*domain%ny + rows*domain%nx
      if (cut >= shortest) cycle   ! of two equal ones the first: its rows are longer
      shortest = cut
      domain%px = columns
      domain%py = rows
    end do
    if (shortest < huge(shortest)) return
    write (message, '(a,i0,a,i0,a,i0,2(a,i0),a,i0,a)') '&domain: ', domain%nx, ' x ', domain%ny, &
      ' cells on ', domain%size, ' ranks with px = ', px, ' and py = ', py, &
      ' (0 = automatic): no such decomposition has boxes of at least ', domain%hw, &
      ' cells a side; change px, py or the number of ranks'
    call abort_together(domain%comm, trim(message))
  end subroutine choose_boxes

  pure subroutine box_of(domain, rank, i0, j0, ni, nj)
    type(domain_type), intent(in) :: domain
    integer, intent(in) :: rank
    integer, intent(out) :: i0, j0, ni, nj
    call part(domain%nx, domain%px, mod(rank, domain%px), i0, ni)
    call part(domain%ny, domain%py, rank/domain%px, j0, nj)
  end subroutine box_of

  pure subroutine part(cells, parts, index, first, length)
    integer, intent(in) :: cells, parts, index
    integer, intent(out) :: first, length
    length = cells/parts + merge(1, 0, index < mod(cells, parts))
    first = 1 + index*(cells/parts) + min(index, mod(cells, parts))
  end subroutine part

  pure integer function rank_at(domain, column, row)
    type(domain_type), intent(in) :: domain
    integer, intent(in) :: column, row
    integer :: c, r
    c = column
    r = row
    if (domain%periodic_x) c = modulo(c, domain%px)
    if (domain%periodic_y) r = modulo(r, domain%py)
    rank_at = MPI_PROC_NULL
    if (c >= 0 .and. c < domain%px .and. r >= 0 .and. r < domain%py) rank_at = r*domain%px + c
  end function rank_at

  subroutine halo_update_2d(domain, a)
    type(domain_type), intent(in) :: domain
    real(wp), intent(inout), contiguous, target :: a(:, :)
    real(wp), pointer, contiguous :: a3(:, :, :)
    a3(1:size(a, 1), 1:size(a, 2), 1:1) => a
    call halo_update_3d(domain, a3)
  end subroutine halo_update_2d

  !> Up to three fields travel in the same messages. First x, then y with the new corners.
  subroutine halo_update_3d(domain, a, b, c)
    type(domain_type), intent(in) :: domain
    real(wp), intent(inout), contiguous :: a(:, :, :)
    real(wp), intent(inout), contiguous, optional :: b(:, :, :), c(:, :, :)
    integer :: boxes(4, 4)   !< (first and last i and j, strip): sent down, up, received from down, up
    integer :: starts(4), hw, ni, nj, levels, strip

    hw = domain%hw
    ni = domain%ni
    nj = domain%nj
    levels = size(a, 3)
    if (present(b)) levels = levels + size(b, 3)
    if (present(c)) levels = levels + size(c, 3)
    starts = [hw + 1, ni + 1, 1, hw + ni + 1]
    do strip = 1, 4
      boxes(:, strip) = [starts(strip), starts(strip) + hw - 1, hw + 1, hw + nj]
    end do
    call exchange(domain%west, domain%east, hw*nj*levels)
    starts = [hw + 1, nj + 1, 1, hw + nj + 1]
    do strip = 1, 4
      boxes(:, strip) = [1, ni + 2*hw, starts(strip), starts(strip) + hw - 1]
    end do
    call exchange(domain%south, domain%north, hw*(ni + 2*hw)*levels)

  contains

    subroutine exchange(down, up, length)
      integer, intent(in) :: down, up, length
      real(wp), allocatable :: send(:, :), receive(:, :)

      if (down == MPI_PROC_NULL .and. up == MPI_PROC_NULL) return
      allocate (send(length, 2), receive(length, 2))
      if (down /= MPI_PROC_NULL) call pack_fields(boxes(:, 1), send(:, 1))
      if (up /= MPI_PROC_NULL) call pack_fields(boxes(:, 2), send(:, 2))
      call swap(domain, down, up, send, receive)
      if (down /= MPI_PROC_NULL) call unpack_fields(boxes(:, 3), receive(:, 1))
      if (up /= MPI_PROC_NULL) call unpack_fields(boxes(:, 4), receive(:, 2))
    end subroutine exchange

    subroutine pack_fields(box, buffer)
      integer, intent(in) :: box(4)
      real(wp), intent(inout) :: buffer(:)
      integer :: at
      at = 0
      call pack_field(a, box, buffer, at)
      if (present(b)) call pack_field(b, box, buffer, at)
      if (present(c)) call pack_field(c, box, buffer, at)
    end subroutine pack_fields

    subroutine unpack_fields(box, buffer)
      integer, intent(in) :: box(4)
      real(wp), intent(in) :: buffer(:)
      integer :: at
      at = 0
      call unpack_field(buffer, box, a, at)
      if (present(b)) call unpack_field(buffer, box, b, at)
      if (present(c)) call unpack_field(buffer, box, c, at)
    end subroutine unpack_fields

  end subroutine halo_update_3d

  pure subroutine pack_field(field, box, buffer, at)
    real(wp), intent(in), contiguous :: field(:, :, :)
    integer, intent(in) :: box(4)
    real(wp), intent(inout) :: buffer(:)
    integer, intent(inout) :: at
    integer :: j, k, length
    length = box(2) - box(1) + 1
    do k = 1, size(field, 3)
      do j = box(3), box(4)
        buffer(at + 1:at + length) = field(box(1):box(2), j, k)
        at = at + length
      end do
    end do
  end subroutine pack_field

  pure subroutine unpack_field(buffer, box, field, at)
    real(wp), intent(in) :: buffer(:)
    integer, intent(in) :: box(4)
    real(wp), intent(inout), contiguous :: field(:, :, :)
    integer, intent(inout) :: at
    integer :: j, k, length
    length = box(2) - box(1) + 1
    do k = 1, size(field, 3)
      do j = box(3), box(4)
        field(box(1):box(2), j, k) = buffer(at + 1:at + length)
        at = at + length
      end do
    end do
  end subroutine unpack_field

  !> send(:, 1) goes down, send(:, 2) up; receive(:, 1) comes from down, receive(:, 2) from up.
  subroutine swap(domain, down, up, send, receive)
    type(domain_type), intent(in) :: domain
    integer, intent(in) :: down, up
    real(wp), intent(in), contiguous, asynchronous :: send(:, :)
    real(wp), intent(inout), contiguous, asynchronous :: receive(:, :)
    type(MPI_Request) :: requests(4)
    integer :: length

    if (down == domain%rank) then   ! periodic with one box: my own edges
      receive(:, 1) = send(:, 2)
      receive(:, 2) = send(:, 1)
      return
    end if
    length = size(send, 1)
    call MPI_Irecv(receive(:, 1), length, MPI_DOUBLE_PRECISION, down, tag_up, domain%comm, requests(1))
    call MPI_Irecv(receive(:, 2), length, MPI_DOUBLE_PRECISION, up, tag_down, domain%comm, requests(2))
    call MPI_Isend(send(:, 1), length, MPI_DOUBLE_PRECISION, down, tag_down, domain%comm, requests(3))
    call MPI_Isend(send(:, 2), length, MPI_DOUBLE_PRECISION, up, tag_up, domain%comm, requests(4))
    call MPI_Waitall(4, requests, MPI_STATUSES_IGNORE)
  end subroutine swap

  subroutine gather_2d(domain, field, global)
    type(domain_type), intent(in) :: domain
    real(wp), intent(in), contiguous, target :: field(:, :)
    real(wp), intent(out), allocatable :: global(:, :)   !< (nx, ny) on rank 0, empty elsewhere
    real(wp), pointer, contiguous :: field3(:, :, :)
    real(wp), allocatable :: global3(:, :, :)
    field3(1:size(field, 1), 1:size(field, 2), 1:1) => field
    call gather_3d(domain, field3, global3)
    global = global3(:, :, 1)
  end subroutine gather_2d

  subroutine gather_3d(domain, field, global)
    type(domain_type), intent(in) :: domain
    real(wp), intent(in), contiguous :: field(:, :, :)
    real(wp), intent(out), allocatable :: global(:, :, :)   !< (nx, ny, nz) on rank 0, empty elsewhere
    real(wp), allocatable :: box(:, :, :)
    integer :: rank, i0, j0, ni, nj, hw, levels

    hw = domain%hw
    levels = size(field, 3)
    allocate (box(domain%ni, domain%nj, levels))
    box(:, :, :) = field(hw + 1:hw + domain%ni, hw + 1:hw + domain%nj, :)
    if (domain%rank /= root) then
      allocate (global(0, 0, levels))
      call MPI_Send(box, size(box), MPI_DOUBLE_PRECISION, root, tag_box, domain%comm)
      return
    end if
    allocate (global(domain%nx, domain%ny, levels))
    do rank = 0, domain%size - 1
      call box_of(domain, rank, i0, j0, ni, nj)
      if (rank /= root) then
        deallocate (box)
        allocate (box(ni, nj, levels))
        call MPI_Recv(box, size(box), MPI_DOUBLE_PRECISION, rank, tag_box, domain%comm, MPI_STATUS_IGNORE)
      end if
      global(i0:i0 + ni - 1, j0:j0 + nj - 1, :) = box
    end do
  end subroutine gather_3d

  subroutine scatter_2d(domain, global, field)
    type(domain_type), intent(in) :: domain
    real(wp), intent(in) :: global(:, :)   !< (nx, ny); looked at on rank 0 only
    real(wp), intent(inout), contiguous, target :: field(:, :)
    real(wp), pointer, contiguous :: field3(:, :, :)
    field3(1:size(field, 1), 1:size(field, 2), 1:1) => field
    call scatter_3d(domain, reshape(global, [size(global, 1), size(global, 2), 1]), field3)
  end subroutine scatter_2d

  !> Owned cells only: the halo of field stays as it is.
  subroutine scatter_3d(domain, global, field)
    type(domain_type), intent(in) :: domain
    real(wp), intent(in) :: global(:, :, :)   !< (nx, ny, nz); looked at on rank 0 only
    real(wp), intent(inout), contiguous :: field(:, :, :)
    real(wp), allocatable :: box(:, :, :)
    integer :: rank, i0, j0, ni, nj, hw

    hw = domain%hw
    if (domain%rank == root) then
      do rank = 1, domain%size - 1
        call box_of(domain, rank, i0, j0, ni, nj)
        allocate (box(ni, nj, size(field, 3)))
        box(:, :, :) = global(i0:i0 + ni - 1, j0:j0 + nj - 1, :)
        call MPI_Send(box, size(box), MPI_DOUBLE_PRECISION, rank, tag_box, domain%comm)
        deallocate (box)
      end do
    end if
    allocate (box(domain%ni, domain%nj, size(field, 3)))
    if (domain%rank == root) then
      box(:, :, :) = global(1:domain%ni, 1:domain%nj, :)
    else
      call MPI_Recv(box, size(box), MPI_DOUBLE_PRECISION, root, tag_box, domain%comm, MPI_STATUS_IGNORE)
    end if
    field(hw + 1:hw + domain%ni, hw + 1:hw + domain%nj, :) = box
  end subroutine scatter_3d

  !> The same bits on every decomposition: the whole field is summed in index order, with the
  !> rounding errors carried along (Neumaier).
  real(wp) function global_sum(domain, field)
    type(domain_type), intent(in) :: domain
    real(wp), intent(in), contiguous :: field(:, :)
    real(wp), allocatable :: global(:, :)
    real(wp) :: total, carried, lost
    integer :: i, j

    call gather_to_root(domain, field, global)
    total = 0
    lost = 0
    do j = 1, size(global, 2)
      do i = 1, size(global, 1)
        carried = total + global(i, j)
        if (abs(total) >= abs(global(i, j))) then
          lost = lost + ((total - carried) + global(i, j))
        else
          lost = lost + ((global(i, j) - carried) + total)
        end if
        total = carried
      end do
    end do
    global_sum = total + lost
    call MPI_Bcast(global_sum, 1, MPI_DOUBLE_PRECISION, root, domain%comm)
  end function global_sum

  real(wp) function global_max(domain, value)
    type(domain_type), intent(in) :: domain
    real(wp), intent(in) :: value   !< of this rank
    call MPI_Allreduce(value, global_max, 1, MPI_DOUBLE_PRECISION, MPI_MAX, domain%comm)
  end function global_max

  real(wp) function global_min(domain, value)
    type(domain_type), intent(in) :: domain
    real(wp), intent(in) :: value   !< of this rank
    call MPI_Allreduce(value, global_min, 1, MPI_DOUBLE_PRECISION, MPI_MIN, domain%comm)
  end function global_min

  logical function global_any(domain, value)
    type(domain_type), intent(in) :: domain
    logical, intent(in) :: value    !< of this rank
    call MPI_Allreduce(value, global_any, 1, MPI_LOGICAL, MPI_LOR, domain%comm)
  end function global_any

end module ocean_domain

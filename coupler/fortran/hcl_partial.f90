! SPDX-License-Identifier: MIT
!> Partly accumulated fields go to the workers, which keep them in the restart, and come back at the
!> start of the next run. A message holds the header, how many puts each field has taken, and the
!> values of the owned cells in real64. The Python half is coupler/partial.py.
module hcl_partial
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use mpi_f08, only: MPI_INTEGER8, MPI_Irecv, MPI_Isend
  use hcl_error, only: hcl_error_type, raise, text
  use hcl_check, only: declared_extent
  use hcl_protocol, only: direction_partial, header_length, number_partial, tag_data
  use hcl_state, only: coupler, exchange_type, peer_type, slot_type, who
  use hcl_wait, only: wait_request
  implicit none (type, external)
  private
  public :: send_partial, finish_partial, receive_partial

  type(slot_type), allocatable :: under_way(:)   !< while a restart is being written

contains

  !> To every worker, its part of them; `date` [s] is that of the next step.
  subroutine send_partial(date)
    integer(int64), intent(in) :: date
    type(slot_type) :: new
    integer :: e, p

    under_way = [slot_type ::]
    do e = 1, size(coupler%exchanges)
      associate (exchange => coupler%exchanges(e))
        if (exchange%direction /= direction_partial) cycle
        call make_room(exchange)
        do p = 1, size(exchange%peers)
          associate (peer => exchange%peers(p))
            allocate (new%words(length_of(exchange, peer)))
            new%words(:header_length) = [int(exchange%number, int64), date, 0_int64, 8*peer%values]
            call copy(exchange, peer, new%words, outward=.true.)
            call MPI_Isend(new%words, size(new%words), MPI_INTEGER8, peer%rank, &
              tag_data + exchange%number, coupler%world, new%request)
            under_way = [under_way, new]
          end associate
        end do
      end associate
    end do
  end subroutine send_partial

  !> After the workers' reply
  subroutine finish_partial(error)
    type(hcl_error_type), allocatable, intent(out) :: error
    integer :: i

    do i = 1, size(under_way)
      call wait_request(under_way(i)%request, 'the workers to take partly accumulated fields', error)
      if (allocated(error)) return
      deallocate (under_way(i)%words)
    end do
  end subroutine finish_partial

  !> What the run before had accumulated when it wrote its restart at `date` [s]
  subroutine receive_partial(date, error)
    integer(int64), intent(in) :: date
    type(hcl_error_type), allocatable, intent(out) :: error
    type(slot_type) :: new
    integer :: e, p

    do e = 1, size(coupler%exchanges)
      associate (exchange => coupler%exchanges(e))
        if (exchange%direction /= direction_partial) cycle
        call make_room(exchange)
        do p = 1, size(exchange%peers)
          associate (peer => exchange%peers(p))
            allocate (new%words(length_of(exchange, peer)))
            call MPI_Irecv(new%words, size(new%words), MPI_INTEGER8, peer%rank, &
              tag_data + exchange%number, coupler%world, new%request)
            call wait_request(new%request, 'the partly accumulated fields of the restart', error)
            if (allocated(error)) return
            if (new%words(2) /= date) then
              call raise(who()//': partly accumulated fields of worker rank '//text(peer%rank)// &
                ': got date '//text(new%words(2))//', expected '//text(date), error)
              return
            end if
            call copy(exchange, peer, new%words, outward=.false.)
            deallocate (new%words)
          end associate
        end do
      end associate
    end do
  end subroutine receive_partial

  !> Number, in the coupler, of the exchange that carries the fields when they are complete
  pure integer function carrier(exchange)
    type(exchange_type), intent(in) :: exchange

    carrier = findloc(coupler%exchanges%number, exchange%number - number_partial, dim=1)
  end function carrier

  pure integer(int64) function length_of(exchange, peer)
    type(exchange_type), intent(in) :: exchange
    type(peer_type), intent(in) :: peer

    length_of = header_length + size(exchange%fields) + peer%values
  end function length_of

  !> A field that has taken no put yet holds zeros, not what left before.
  subroutine make_room(exchange)
    type(exchange_type), intent(in) :: exchange
    integer :: f, place, extent(3)

    associate (whole => coupler%exchanges(carrier(exchange)))
      do f = 1, size(exchange%fields)
        place = findloc(whole%fields, exchange%fields(f), dim=1)
        associate (field => coupler%fields(exchange%fields(f)), treatment => whole%treatments(place))
          if (treatment%puts > 0) cycle
          extent = declared_extent(field)
          extent(:2) = extent(:2) - 2*coupler%grids(field%grid)%halo
          if (allocated(treatment%partial)) deallocate (treatment%partial)
          allocate (treatment%partial(extent(1), extent(2), treatment%last - treatment%first + 1), &
            source=0.0_real64)
        end associate
      end do
    end associate
  end subroutine make_room

  !> Counts of puts and values, patch by patch, level by level, rows in x; out of the partial fields
  !> or into them.
  subroutine copy(exchange, peer, words, outward)
    type(exchange_type), intent(in) :: exchange
    type(peer_type), intent(in) :: peer
    integer(int64), intent(inout) :: words(:)
    logical, intent(in) :: outward
    integer(int64) :: at
    integer :: f, n, k, j, place

    associate (whole => coupler%exchanges(carrier(exchange)))
      at = header_length + size(exchange%fields)
      do f = 1, size(exchange%fields)
        place = findloc(whole%fields, exchange%fields(f), dim=1)
        associate (treatment => whole%treatments(place), count => words(header_length + f))
          if (outward) count = treatment%puts
          treatment%puts = count
          do n = 1, size(peer%routes(f)%patches)
            associate (patch => peer%routes(f)%patches(n))
              do k = 1, size(treatment%partial, 3)
                do j = patch%j, patch%j + patch%nj - 1
                  associate (row => treatment%partial(patch%i:patch%i + patch%ni - 1, j, k), &
                             sent => words(at + 1:at + patch%ni))
                    if (outward) then
                      sent = transfer(row, sent)
                    else
                      row = transfer(sent, row)
                    end if
                  end associate
                  at = at + patch%ni
                end do
              end do
            end associate
          end do
        end associate
      end do
    end associate
  end subroutine copy
end module hcl_partial

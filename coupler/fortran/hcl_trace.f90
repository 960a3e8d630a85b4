! SPDX-License-Identifier: MIT
!> What this rank did when, for a timeline: one line for each span of time, in a file of its own.
!> Each line is written at once, so that a job that fails or is killed leaves what it did.
module hcl_trace
  use, intrinsic :: iso_c_binding, only: c_int, c_long
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use mpi_f08, only: MPI_MAX_PROCESSOR_NAME, MPI_Get_processor_name, MPI_Wtime
  use hcl_error, only: hcl_error_type, raise, text
  use hcl_state, only: coupler, who
  implicit none (type, external)
  private
  public :: open_trace, record, close_trace, tracing

  logical, protected :: tracing = .false.
  integer :: unit
  integer :: left                !< events before the file is full
  real(real64) :: origin         !< of MPI_Wtime, in seconds since 1970 by this node's clock

  integer, parameter :: default_limit = 20000   !< events of a rank
  integer(c_int), parameter :: clock_realtime = 0
  integer, parameter :: looks = 9   !< at the clocks

  type, bind(c) :: timespec_type
    integer(c_long) :: seconds, nanoseconds
  end type timespec_type

  interface
    integer(c_int) function c_clock_gettime(clock, now) bind(c, name='clock_gettime')
      import :: c_int, timespec_type
      implicit none (type, external)
      integer(c_int), value :: clock
      type(timespec_type), intent(out) :: now
    end function c_clock_gettime
  end interface

contains

  !> Begins the file of this rank if HALOCLINE_TRACE names a directory; HALOCLINE_TRACE_LIMIT events.
  subroutine open_trace(error)
    type(hcl_error_type), allocatable, intent(out) :: error
    character(:), allocatable :: directory, limit
    character(MPI_MAX_PROCESSOR_NAME) :: host
    character(256) :: reason
    real(real64) :: now
    integer :: length, status, look

    directory = environment('HALOCLINE_TRACE')
    if (directory == '') return
    left = default_limit
    limit = environment('HALOCLINE_TRACE_LIMIT')
    if (limit /= '') then
      read (limit, *, iostat=status) left
      if (status /= 0 .or. left < 1) then
        call raise(who()//': HALOCLINE_TRACE_LIMIT: got '//limit//', expected a number of events', error)
        return
      end if
    end if
    open (newunit=unit, file=directory//'/'//trim(coupler%name)//'.'//text(coupler%rank)// &
      '.trace.csv', action='write', status='replace', iostat=status, iomsg=reason)
    if (status /= 0) then
      call raise(who()//': HALOCLINE_TRACE: '//trim(reason)//'; expected a directory that is there', error)
      return
    end if
    call MPI_Get_processor_name(host, length)
    write (unit, '(a)') '# halocline trace,'//trim(coupler%name)//','//text(coupler%rank)//',model,'// &
      host(:length), 'begin,end,what,date,fields'
    flush (unit)
    ! a rank may lose its core between the two clocks: of some looks the best is the latest
    origin = 0
    do look = 1, looks
      now = real_time()
      origin = max(origin, now - MPI_Wtime())
    end do
    tracing = .true.
  end subroutine open_trace

  !> `what` (put, wait, unpack) took from `begun` to `ended`, both of MPI_Wtime [s].
  subroutine record(what, begun, ended, date, field)
    character(*), intent(in) :: what
    real(real64), intent(in) :: begun, ended
    integer(int64), intent(in) :: date
    integer, intent(in) :: field

    if (.not. tracing) return
    if (coupler%fields(field)%use_count == 0) return   ! nobody asked for it: the call did nothing
    if (left == 0) then
      write (unit, '(a)') '# cut'
      call close_trace()
      return
    end if
    left = left - 1
    write (unit, '(f0.6,",",f0.6,5a)') origin + begun, origin + ended, ','//what, ',', text(date), ',', &
      trim(coupler%fields(field)%name)
    flush (unit)
  end subroutine record

  subroutine close_trace()
    if (tracing) close (unit)
    tracing = .false.
  end subroutine close_trace

  !> Seconds since 1970. MPI_Wtime begins anywhere, and elsewhere in every process.
  real(real64) function real_time()
    type(timespec_type) :: now
    integer(c_int) :: ignored

    ignored = c_clock_gettime(clock_realtime, now)
    real_time = real(now%seconds, real64) + 1e-9_real64*real(now%nanoseconds, real64)
  end function real_time

  function environment(name) result(value)
    character(*), intent(in) :: name
    character(:), allocatable :: value
    integer :: length, status

    call get_environment_variable(name, length=length, status=status)
    if (status /= 0) length = 0
    allocate (character(length) :: value)
    if (length > 0) call get_environment_variable(name, value)
  end function environment
end module hcl_trace

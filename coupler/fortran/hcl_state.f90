! SPDX-License-Identifier: MIT
!> What the client knows: the job, what the model declared, and the lists it was told to execute.
!> A model has one coupler, so this is one module variable, as a legacy caller expects.
module hcl_state
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use mpi_f08, only: MPI_Comm, MPI_Request, MPI_Win, MPI_REQUEST_NULL
  use hcl_protocol, only: name_length, no_date
  implicit none (type, external)
  private
  public :: grid_type, field_type, patch_type, route_type, piece_type, slot_type, chunk_type, peer_type
  public :: treatment_type, exchange_type, coupler_type, coupler, who

  !> A decomposed grid of the model: this rank's box, and the halo that its arrays carry. A grid of
  !> points has the local box [1, points, 1, 1] instead, no halo, and `runs` of its index list:
  !> first cell (from 0: (i-1) + (j-1)*nx), length, first place in the model's array (from 0).
  type :: grid_type
    character(name_length) :: name = ''
    integer :: nx = 0, ny = 0
    integer :: box(4) = 0         !< i_first, i_last, j_first, j_last, global, counted from 1
    integer :: halo = 0           !< cells on each side of the box in the model's arrays
    integer :: periodic(2) = -1   !< 1 yes, 0 no, -1 not said
    logical :: points = .false.
    logical :: holes = .false.    !< the model may leave cells without an owner
    integer(int64), allocatable :: runs(:, :)   !< (3, run)
  end type grid_type

  type :: field_type
    character(name_length) :: name = ''
    integer :: grid = 0
    integer :: direction = 0
    integer :: levels = 1
    integer :: use_count = 0      !< exchanges that carry it
  end type field_type

  !> A rectangle of a message: ni x nj values, i fastest, from (or into) cell (i, j) of the box,
  !> both counted from 1 without the model's halo, in steps of 1, 0 (one cell repeated) or -1
  type :: patch_type
    integer :: ni, nj, i, j, step_i, step_j
    integer :: sign     !< -1 for a vector's component from beyond a fold or a mirror
    integer :: wi, wj   !< the rectangle's first cell in the worker's array, from 0
  end type patch_type

  type :: route_type
    type(patch_type), allocatable :: patches(:)
    integer(int64) :: place = 0   !< of the worker's array in its memory, slot 1 [words]
    integer :: ni = 0, nj = 0     !< cells of that array
  end type route_type

  !> Some levels of one field of an exchange
  type :: piece_type
    integer :: place = 0                  !< of the field in the exchange
    integer :: first = 1, levels = 0      !< of the levels that travel
    integer(int64) :: offset = 0          !< values before this piece in the chunk
  end type piece_type

  !> A message under way: a persistent request. The buffer is counted in 8-byte words, which lets a
  !> message have 16 GB.
  type :: slot_type
    integer(int64), pointer, contiguous :: words(:) => null()
    type(MPI_Request) :: request = MPI_REQUEST_NULL
  end type slot_type

  !> What travels in one message: all of an exchange with a peer, or a part that leaves when it is
  !> packed. Through shared memory it travels by itself, and the message is its header.
  type :: chunk_type
    type(piece_type), allocatable :: pieces(:)
    integer(int64) :: values = 0
    integer :: missing = 0                      !< pieces that are not yet packed
    type(slot_type), allocatable :: slots(:)    !< to send: of lag + 2 exchanges
    integer(int64), allocatable :: kept(:)      !< received, but not all of it asked for yet
  end type chunk_type

  type :: peer_type
    integer :: rank = -1          !< in the coupling communicator
    integer(int64) :: values = 0                 !< of all its patches and levels
    logical :: windowed = .false.                !< shares its memory with this rank
    integer(int64), pointer, contiguous :: memory(:) => null()   !< the worker's [words]
    integer :: node_rank = -1                    !< of the worker, in coupler%node
    integer(int64) :: counter = 0                !< its place in memory, from 0
    integer(int64) :: slot_words = 0             !< from one slot to the next
    type(route_type), allocatable :: routes(:)   !< one a field of the exchange
    type(chunk_type), allocatable :: chunks(:)   !< in the order in which they travel
    integer :: next = 1       !< the first chunk of this exchange not yet sent, or not yet taken
    type(slot_type), allocatable :: posted(:)    !< receives that wait for chunks, in turn
    integer(int64) :: taken = 0                  !< chunks of all exchanges
  end type peer_type

  !> What happens to a field between the model's array and the message
  type :: treatment_type
    integer :: operation = 0      !< operation_*: what is made of the puts since the last date
    integer :: first = 1, last = 1           !< levels of the model's field that travel
    real(real64) :: scale = 1, offset = 0    !< value*scale + offset
    logical :: converts = .false.            !< is there a scale or an offset?
    real(real64), allocatable :: partial(:, :, :)   !< sum or extreme of the puts, owned cells
    integer(int64) :: puts = 0               !< in `partial`
    integer(int64) :: previous = no_date     !< date of the last put
  end type treatment_type

  !> Fields that travel together
  type :: exchange_type
    integer :: number = 0         !< as the workers number it
    integer :: direction = 0
    integer(int64) :: period = 0  !< [s]
    integer :: lag = 0
    integer :: wire = 8           !< bytes of a value
    integer, allocatable :: fields(:)
    type(treatment_type), allocatable :: treatments(:)   !< one a field
    type(peer_type), allocatable :: peers(:)
    integer(int64) :: count = 0   !< exchanges completed
    integer(int64) :: date = no_date   !< of the exchange under way
    integer(int64) :: last = no_date   !< of the last one completed
    logical, allocatable :: done(:)    !< which fields of it have been put or got
  end type exchange_type

  type :: coupler_type
    logical :: initialized = .false., started = .false., owns_mpi = .false.
    logical :: joined = .false.               !< every component has, so that `world` exists
    logical :: ending = .false.               !< the model gets no more answers
    character(name_length) :: name = ''
    type(MPI_Comm) :: world       !< every component of the job
    type(MPI_Comm) :: local       !< the model's own
    type(MPI_Comm) :: node        !< every component's ranks that share memory with this one
    type(MPI_Win) :: window       !< the workers' memory
    logical :: has_window = .false.
    integer :: rank = 0, ranks = 0            !< in `local`
    integer, allocatable :: leaders(:)        !< first rank of each worker component, in `world`
    integer, allocatable :: workers(:)        !< every worker rank, in `world`
    integer, allocatable :: worker_leader(:)  !< of each of `workers`: its component's first rank
    real(real64) :: time_limit = 120.0_real64 !< longest wait [s]
    integer(int64) :: time_step = 0           !< of the spec [s]
    type(grid_type), allocatable :: grids(:)
    type(field_type), allocatable :: fields(:)
    type(exchange_type), allocatable :: exchanges(:)
    real(real64) :: started_at = 0, seconds_packing = 0, seconds_waiting = 0, seconds_unpacking = 0
  end type coupler_type

  type(coupler_type), target :: coupler

contains

  !> `ocean rank 2`, the beginning of every message
  function who()
    character(:), allocatable :: who
    character(12) :: number

    write (number, '(i0)') coupler%rank
    who = trim(coupler%name)//' rank '//trim(number)
  end function who
end module hcl_state

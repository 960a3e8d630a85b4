! SPDX-License-Identifier: MIT
!> What both sides of a coupled job must agree on. The Python half is coupler/protocol.py.
module hcl_protocol
  use, intrinsic :: iso_fortran_env, only: int64
  implicit none (type, external)
  private

  character(*), parameter, public :: protocol_magic = 'HALOCL04'
  integer, parameter, public :: name_length = 64
  integer, parameter, public :: kind_length = 8
  integer, parameter, public :: digest_length = 64
  integer, parameter, public :: record_length = &
    len(protocol_magic) + kind_length + name_length + digest_length

  !> @name Message tags within the coupling communicator
  integer, parameter, public :: tag_declare = 1   !< model leader -> worker leader: integers
  integer, parameter, public :: tag_names = 2     !< model leader -> worker leader: names
  integer, parameter, public :: tag_config = 3    !< worker leader -> model leader
  integer, parameter, public :: tag_counts = 4    !< worker leader -> model leader: plans per rank
  integer, parameter, public :: tag_plan = 5      !< worker rank -> model rank
  integer, parameter, public :: tag_control = 6   !< model leader -> every worker rank
  integer, parameter, public :: tag_reply = 7     !< worker leader -> model leader
  integer, parameter, public :: tag_failure = 8   !< anyone -> anyone: text
  integer, parameter, public :: tag_lists = 9     !< model rank -> worker rank: index lists
  integer, parameter, public :: tag_data = 1000   !< plus the exchange's number

  integer, parameter, public :: control_restart = 1
  integer, parameter, public :: control_end = 2

  integer, parameter, public :: direction_out = 1
  integer, parameter, public :: direction_in = 2
  integer, parameter, public :: direction_static = 3

  !> Partly accumulated fields: out for a restart, in at start
  integer, parameter, public :: direction_partial = 4
  !> Its number among the messages of one exchange, counted from that of the exchange itself
  integer, parameter, public :: number_partial = 2

  !> @name What is made of the puts since the last date at which a field travelled
  integer, parameter, public :: operation_instant = 0
  integer, parameter, public :: operation_average = 1
  integer, parameter, public :: operation_accumulate = 2
  integer, parameter, public :: operation_min = 3
  integer, parameter, public :: operation_max = 4
  integer, parameter, public :: treatment_length = 5   !< words that tell it, with levels and scale

  !> Every message of fields starts with exchange, date, sequence, bytes behind the header.
  integer, parameter, public :: header_length = 4

  !> Receives of an exchange that are posted from each rank: what other chunks bring stays where it
  !> is until it can be unpacked from the cache.
  integer, parameter, public :: receives_ahead = 2

  integer(int64), parameter, public :: no_date = -huge(1_int64)
end module hcl_protocol

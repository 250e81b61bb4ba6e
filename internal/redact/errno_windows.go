// SPDX-License-Identifier: BSD-3-Clause

package redact

import "syscall"

// classifyNumber returns the reason of a system error number: the values are
// those of Windows' own headers, where the names of Unix have other numbers.
func classifyNumber(n syscall.Errno) Reason {
	switch n {
	case 10061, syscall.ECONNREFUSED: // WSAECONNREFUSED
		return Refused
	case 10050, 10051, 10064, 10065, 10047, syscall.EHOSTUNREACH, syscall.ENETUNREACH: // network or host down or unreachable, no such address family
		return Unreachable
	case 10060, 121, syscall.ETIMEDOUT: // WSAETIMEDOUT, ERROR_SEM_TIMEOUT
		return Timeout
	case 10052, 10053, 10054, 109, syscall.ECONNRESET: // WSAENETRESET, WSAECONNABORTED, WSAECONNRESET, ERROR_BROKEN_PIPE
		return Reset
	case 10048, syscall.EADDRINUSE: // WSAEADDRINUSE
		return AddressInUse
	case 10049, syscall.EADDRNOTAVAIL: // WSAEADDRNOTAVAIL
		return AddressForeign
	case 10024, 10055, 4: // WSAEMFILE, WSAENOBUFS, ERROR_TOO_MANY_OPEN_FILES
		return TooManyFiles
	case 8, 14, 1455: // ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY, ERROR_COMMITMENT_LIMIT
		return OutOfMemory
	case 39, 112: // ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL
		return DiskFull
	case 19: // ERROR_WRITE_PROTECT
		return ReadOnly
	case 23, 1117: // ERROR_CRC, ERROR_IO_DEVICE
		return DiskFault
	case 2, 3: // ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND
		return FileNotFound
	case 80, 145, 183: // ERROR_FILE_EXISTS, ERROR_DIR_NOT_EMPTY, ERROR_ALREADY_EXISTS
		return FileExists
	case 5, 10013: // ERROR_ACCESS_DENIED, WSAEACCES
		return NotPermitted
	case 10040: // WSAEMSGSIZE
		return TooLarge
	case 32, 33, 170: // ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION, ERROR_BUSY
		return Busy
	}
	return Other
}

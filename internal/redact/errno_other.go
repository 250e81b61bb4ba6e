// SPDX-License-Identifier: BSD-3-Clause

//go:build !windows

package redact

import "syscall"

// classifyNumber returns the reason of a system error number.
func classifyNumber(n syscall.Errno) Reason {
	switch n {
	case syscall.ECONNREFUSED:
		return Refused
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN, syscall.EAFNOSUPPORT:
		return Unreachable
	case syscall.ETIMEDOUT:
		return Timeout
	case syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, syscall.ENETRESET:
		return Reset
	case syscall.EADDRINUSE:
		return AddressInUse
	case syscall.EADDRNOTAVAIL:
		return AddressForeign
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS:
		return TooManyFiles
	case syscall.ENOMEM:
		return OutOfMemory
	case syscall.ENOSPC, syscall.EDQUOT:
		return DiskFull
	case syscall.EROFS:
		return ReadOnly
	case syscall.EIO:
		return DiskFault
	case syscall.ENOENT, syscall.ENOTDIR:
		return FileNotFound
	case syscall.EEXIST, syscall.ENOTEMPTY:
		return FileExists
	case syscall.EACCES, syscall.EPERM:
		return NotPermitted
	case syscall.EMSGSIZE, syscall.EFBIG:
		return TooLarge
	case syscall.EAGAIN, syscall.EBUSY, syscall.ETXTBSY:
		return Busy
	}
	return Other
}

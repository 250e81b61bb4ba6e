// SPDX-License-Identifier: BSD-3-Clause

package redact

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/rs/zerolog"
)

// Reason is why something failed, from a closed list that holds no value of the
// failure: no endpoint, no path, no input. It is an error and a log field, so
// that it can take an error's place.
//
//	return errors.Join(ErrListen, redact.Classify(err))
//
// Spec: security LOG-5.
type Reason byte

// The closed list of reasons.
const (
	Other           Reason = iota // none of the below
	None                          // no error at all
	Refused                       // nobody listens there
	Unreachable                   // no route, or the network is down
	Timeout                       // no answer in time
	Reset                         // the other side broke the connection
	Ended                         // end of data, also before its time
	Closed                        // closed here
	Cancelled                     // given up here
	AddressInUse                  // another socket holds the address
	AddressForeign                // not an address of this machine
	NameNotFound                  // no such name
	ResolverFailed                // no usable answer from the name server
	TooManyFiles                  // out of file descriptors or socket buffers
	OutOfMemory                   // the system has no memory left
	DiskFull                      // no space, or over quota
	ReadOnly                      // read-only file system
	DiskFault                     // input or output error
	FileNotFound                  // no such file or folder
	FileExists                    // there already
	NotPermitted                  // access denied
	TooLarge                      // message or file too large
	Busy                          // held by another process
	Unsupported                   // this system cannot do it
	reasonListCount               // end of the list
)

var reasonNames = [reasonListCount]string{
	Other: "other", None: "none", Refused: "refused", Unreachable: "unreachable", Timeout: "timeout",
	Reset: "reset", Ended: "ended", Closed: "closed", Cancelled: "cancelled",
	AddressInUse: "address_in_use", AddressForeign: "address_foreign",
	NameNotFound: "name_not_found", ResolverFailed: "resolver_failed",
	TooManyFiles: "too_many_files", OutOfMemory: "out_of_memory",
	DiskFull: "disk_full", ReadOnly: "read_only", DiskFault: "disk_fault",
	FileNotFound: "file_not_found", FileExists: "file_exists", NotPermitted: "not_permitted",
	TooLarge: "too_large", Busy: "busy", Unsupported: "unsupported",
}

// String returns the reason's name, one word.
func (r Reason) String() string {
	if r >= reasonListCount {
		r = Other
	}
	return reasonNames[r]
}

// Error makes a reason usable in an error's place.
func (r Reason) Error() string { return "reason: " + r.String() }

// MarshalZerologObject adds the field to e.
func (r Reason) MarshalZerologObject(e *zerolog.Event) { e.Str("reason", r.String()) }
func (Reason) field()                                  {}

// Classify returns the reason of an error of net, os, io or context. An error
// that is or wraps a Reason gives that one; nil gives None.
func Classify(err error) Reason {
	if err == nil {
		return None
	}
	var known Reason
	if errors.As(err, &known) {
		return known
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		switch {
		case dns.IsNotFound:
			return NameNotFound
		case dns.IsTimeout:
			return Timeout
		case errors.Is(err, context.Canceled):
			return Cancelled
		}
		return ResolverFailed
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		if r := classifyNumber(number); r != Other {
			return r
		}
	}
	for _, known := range [...]struct {
		err    error
		reason Reason
	}{
		{context.Canceled, Cancelled},
		{context.DeadlineExceeded, Timeout},
		{os.ErrDeadlineExceeded, Timeout},
		{net.ErrClosed, Closed},
		{os.ErrClosed, Closed},
		{io.ErrClosedPipe, Closed},
		{io.EOF, Ended},
		{io.ErrUnexpectedEOF, Ended},
		{fs.ErrNotExist, FileNotFound},
		{fs.ErrExist, FileExists},
		{fs.ErrPermission, NotPermitted},
		{errors.ErrUnsupported, Unsupported},
	} {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}
	var timed interface{ Timeout() bool }
	if errors.As(err, &timed) && timed.Timeout() {
		return Timeout
	}
	return Other
}

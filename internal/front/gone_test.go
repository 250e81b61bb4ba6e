// SPDX-License-Identifier: BSD-3-Clause

package front

import (
	"errors"
	"net"
	"strings"
	"testing"
)

// TestTheClientThatIsGoneIsNamed (product HTTP-3): what a program reads is that, and not
// that the network cannot be reached.
func TestTheClientThatIsGoneIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	_, err = (&dialer{network: "tcp", address: address}).dial(t.Context())
	said, ok := errors.AsType[interface {
		error
		Fix() string
	}](err)
	if !ok || !strings.Contains(said.Error(), "client") || !strings.Contains(said.Error(), "gone") || said.Fix() == "" {
		t.Errorf("%v", err)
	}
}

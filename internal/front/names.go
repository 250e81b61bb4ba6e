// SPDX-License-Identifier: BSD-3-Clause

package front

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Limits of our own.
const (
	maxQuestions   = 64 // that are answered at once; more wait, or over UDP are asked again
	maxConnections = 32
	questionTime   = 90 * time.Second // for an answer
	idleTime       = 30 * time.Second // between two questions of one connection
	maxQuestion    = 4096             // bytes
	answerTTL      = 60 * time.Second // DNS-4
)

// names is the name server inside.
type names struct {
	d    *dialer
	room chan struct{} // one place for each question
}

// servePackets answers datagrams until ctx ends.
func (n *names) servePackets(ctx context.Context, p net.PacketConn) {
	stop := context.AfterFunc(ctx, func() { _ = p.Close() })
	defer stop()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	b := make([]byte, maxQuestion)
	pause := time.Duration(0)
	for ctx.Err() == nil {
		size, from, err := p.ReadFrom(b)
		if err != nil {
			// A program that does not wait for its answer, or trouble that lasts.
			if errors.Is(err, net.ErrClosed) || !longer(ctx, &pause) {
				return
			}
			continue
		}
		pause = 0
		select {
		case n.room <- struct{}{}:
		default:
			continue
		}
		question := append([]byte(nil), b[:size]...)
		tasks.Go(func() {
			defer func() { <-n.room }()
			if answer := n.answer(ctx, question); answer != nil {
				_, _ = p.WriteTo(answer, from)
			}
		})
	}
}

// serveStreams answers connections until ctx ends.
func (n *names) serveStreams(ctx context.Context, l net.Listener) {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	room := make(chan struct{}, maxConnections)
	pause := time.Duration(0)
	for ctx.Err() == nil {
		c, err := l.Accept()
		if err != nil {
			// A connection that died in the queue, or the limit of open files.
			if errors.Is(err, net.ErrClosed) || !longer(ctx, &pause) {
				return
			}
			continue
		}
		pause = 0
		select {
		case room <- struct{}{}:
		default:
			_ = c.Close()
			continue
		}
		tasks.Go(func() {
			defer func() { <-room }()
			n.serveStream(ctx, c)
		})
	}
}

// Errors of Accept and ReadFrom that last, such as too many open files, are waited out.
const (
	pauseMin = 5 * time.Millisecond
	pauseMax = time.Second
)

// longer waits, twice as long as the last time. False: ctx has ended.
func longer(ctx context.Context, pause *time.Duration) bool {
	*pause = min(max(2**pause, pauseMin), pauseMax)
	t := time.NewTimer(*pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (n *names) serveStream(ctx context.Context, c net.Conn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	var size [2]byte
	for {
		_ = c.SetDeadline(time.Now().Add(idleTime))
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, question); err != nil || len(question) > maxQuestion {
			return
		}
		select {
		case n.room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		_ = c.SetDeadline(time.Now().Add(questionTime + idleTime))
		answer := n.answer(ctx, question)
		<-n.room
		if answer == nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// answer answers one question; nil when there is nothing to answer.
func (n *names) answer(ctx context.Context, question []byte) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(question)
	if err != nil || head.Response {
		return nil
	}
	reply := dnsmessage.Message{Header: dnsmessage.Header{
		ID: head.ID, Response: true, OpCode: head.OpCode, RecursionDesired: head.RecursionDesired, RecursionAvailable: true,
	}}
	questions, err := p.AllQuestions()
	switch {
	case err != nil || len(questions) != 1:
		reply.RCode = dnsmessage.RCodeFormatError
	case head.OpCode != 0 || questions[0].Class != dnsmessage.ClassINET:
		reply.RCode = dnsmessage.RCodeNotImplemented
	default:
		reply.Questions = questions
		ctx, cancel := context.WithTimeout(ctx, questionTime)
		defer cancel()
		reply.RCode, reply.Answers = n.look(ctx, questions[0])
	}
	b, err := reply.Pack()
	if err != nil {
		return nil
	}
	return b
}

// look finds the answers to a question. Spec: product §4.4 (DNS-3).
func (n *names) look(ctx context.Context, q dnsmessage.Question) (dnsmessage.RCode, []dnsmessage.Resource) {
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: uint32(answerTTL / time.Second)}
	switch q.Type {
	case dnsmessage.TypeA, dnsmessage.TypeAAAA:
	case dnsmessage.TypePTR:
		addr, ok := parseReverse(name)
		if !ok {
			return dnsmessage.RCodeNameError, nil
		}
		found, err := n.d.ResolveAddr(ctx, "", addr)
		if err != nil {
			return codeOf(err), nil
		}
		target, err := dnsmessage.NewName(strings.TrimSuffix(found[0], ".") + ".")
		if err != nil {
			return dnsmessage.RCodeServerFailure, nil
		}
		return dnsmessage.RCodeSuccess, []dnsmessage.Resource{{Header: head, Body: &dnsmessage.PTRResource{PTR: target}}}
	default:
		return dnsmessage.RCodeNotImplemented, nil
	}
	var found netip.Addr
	switch {
	case name == "localhost" || strings.HasSuffix(name, ".localhost"):
		found = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if q.Type == dnsmessage.TypeAAAA {
			found = netip.IPv6Loopback()
		}
	case !public(name):
		return dnsmessage.RCodeNameError, nil
	default:
		answer, err := n.d.Resolve(ctx, "", name)
		if err != nil {
			return codeOf(err), nil
		}
		found = answer.Addrs[0]
	}
	switch {
	case q.Type == dnsmessage.TypeA && found.Is4():
		return dnsmessage.RCodeSuccess, []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: found.As4()}}}
	case q.Type == dnsmessage.TypeAAAA && !found.Is4():
		return dnsmessage.RCodeSuccess, []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AAAAResource{AAAA: found.As16()}}}
	}
	return dnsmessage.RCodeSuccess, nil // the other kind of address
}

// public reports that a name is one to ask others about: not another network's, not
// this household's.
func public(name string) bool {
	first := strings.LastIndexByte(name, '.')
	if first < 0 {
		return false
	}
	switch name[first+1:] {
	case "onion", "local":
		return false
	case "alt":
		return strings.HasSuffix(name, ".chive.alt")
	}
	return true
}

// codeOf is the answer to a look-up that failed.
func codeOf(err error) dnsmessage.RCode {
	var r interface{ Reason() string }
	if errors.As(err, &r) {
		switch r.Reason() {
		case "name_not_found", "host_unreachable", "service_not_found", "service_address_bad":
			return dnsmessage.RCodeNameError
		}
	}
	return dnsmessage.RCodeServerFailure
}

// parseReverse reads a name under in-addr.arpa or ip6.arpa.
func parseReverse(name string) (netip.Addr, bool) {
	if head, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		parts := strings.Split(head, ".")
		for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
			parts[i], parts[j] = parts[j], parts[i]
		}
		a, err := netip.ParseAddr(strings.Join(parts, "."))
		return a, err == nil && a.Is4()
	}
	head, ok := strings.CutSuffix(name, ".ip6.arpa")
	digits := strings.Split(head, ".")
	if !ok || len(digits) != 32 {
		return netip.Addr{}, false
	}
	var text strings.Builder
	for i := range digits {
		d := digits[len(digits)-1-i]
		if len(d) != 1 {
			return netip.Addr{}, false
		}
		text.WriteString(d)
		if i%4 == 3 && i < 31 {
			text.WriteByte(':')
		}
	}
	a, err := netip.ParseAddr(text.String())
	return a, err == nil
}

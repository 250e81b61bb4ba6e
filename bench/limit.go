// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"chive/bench/lab"
	"chive/bench/load"
	"chive/bench/report"
)

// limits measures what the machine does without relays: no network can be faster.
func (s *session) limits(ctx context.Context) []report.Limit {
	ctx, cancel := context.WithTimeout(ctx, phaseTime)
	defer cancel()
	var out []report.Limit
	direct := &load.Client{Target: s.target.Addr()}
	size := 10 * s.sizes.BulkBytes
	if took, err := direct.Download(ctx, "", size, bulkTime); err == nil {
		out = append(out, report.Limit{Title: "one direct download, without relays", Value: float64(size) / 1e6 / took.Seconds(), Unit: "MB/s"})
	}
	if v, err := sealSpeed(); err == nil {
		out = append(out, report.Limit{Title: "AES-128-GCM on one processor, 16 KiB at once", Value: v, Unit: "MB/s"})
	}
	if v, err := s.iperf(ctx); err == nil {
		out = append(out, report.Limit{Title: "iperf3, one stream", Value: v, Unit: "MB/s"})
	}
	return out
}

// sealSpeed returns how many MB a second are encrypted and authenticated.
func sealSpeed() (float64, error) {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		return 0, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return 0, err
	}
	const size, lasts = 16 << 10, 500 * time.Millisecond
	buf := make([]byte, size, size+gcm.Overhead())
	nonce := make([]byte, gcm.NonceSize())
	done := 0
	began := time.Now()
	for time.Since(began) < lasts {
		for range 64 {
			gcm.Seal(buf[:0], nonce, buf, nil)
			done += size
		}
	}
	return float64(done) / 1e6 / time.Since(began).Seconds(), nil
}

// iperf returns what iperf3 reaches on loopback, if it is installed.
func (s *session) iperf(ctx context.Context) (float64, error) {
	program, err := exec.LookPath("iperf3")
	if err != nil {
		return 0, err
	}
	port, err := s.ports.Next()
	if err != nil {
		return 0, err
	}
	server, err := lab.Start("iperf3", nil, program, "-s", "-1", "-B", "127.0.0.1", "-p", fmt.Sprint(port))
	if err != nil {
		return 0, err
	}
	defer server.Stop()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var text string
	err = lab.Poll(ctx, func() (bool, error) {
		text, err = lab.Run(ctx, "", program, "-c", "127.0.0.1", "-p", fmt.Sprint(port), "-t", "3", "-J")
		return err == nil, nil
	})
	if err != nil {
		return 0, err
	}
	return parseIperf([]byte(text))
}

// errIperf says that iperf3 printed something unknown.
var errIperf = errors.New("iperf3 printed something unknown")

// parseIperf reads MB a second out of iperf3's JSON.
func parseIperf(data []byte) (float64, error) {
	var v struct {
		End struct {
			Received struct {
				Bits float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if json.Unmarshal(data, &v) != nil || v.End.Received.Bits <= 0 {
		return 0, errIperf
	}
	return v.End.Received.Bits / 8e6, nil
}

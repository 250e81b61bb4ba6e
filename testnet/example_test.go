// SPDX-License-Identifier: BSD-3-Clause

package testnet_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"chive/client"
	"chive/testnet"
)

// A program that embeds a client fetches a page through it. What goes through two
// Dialers of different keys shares no circuit.
func ExampleClient_embedding() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	// Any client does in place of this one: client.New(client.Config{...}), and
	// go role.Run(ctx).
	network, err := testnet.Start(ctx, testnet.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer network.Close()
	var role *client.Client = network.Clients[0].Client

	transport := role.Dialer("my program").Transport()
	defer transport.CloseIdleConnections()
	browser := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	answer, err := browser.Get("http://" + testnet.TargetName + "/")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	page, _ := io.ReadAll(answer.Body)
	fmt.Printf("%s: %s", answer.Status, page)
	// Output: 200 OK: Hello from the far side of three relays.
}

// Names are looked up at an exit, never by this machine.
func ExampleClient_lookup() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	network, err := testnet.Start(ctx, testnet.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer network.Close()

	dialer := network.Clients[0].Dialer("my program")
	addrs, err := dialer.LookupNetIP(ctx, "ip4", testnet.TargetName)
	fmt.Println(len(addrs), err)
	_, err = dialer.LookupNetIP(ctx, "ip4", "nowhere.test")
	fmt.Println(err)
	// Output:
	// 1 <nil>
	// the exit found no address for this name
}

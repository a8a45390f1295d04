package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"registrar/internal/handler"
)

// What the server takes at once, so that its memory isn't filled: requests, and bytes of their
// bodies together.
const (
	maxRequests = 32
	maxBytes    = 4 << 20
)

// address is where the HTTP server listens.
type address struct {
	Port    uint16 `env:"PORT, default=8080"`
	Host    string `env:"HOST"`      // empty means this machine only, or all interfaces as a service
	Service string `env:"K_SERVICE"` // set by Knative and Cloud Run, which authenticate requests
}

func (a address) String() string {
	host := a.Host
	if host == "" && a.Service == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(int(a.Port)))
}

// serve listens at an address, and serves h until ctx ends.
func serve(ctx context.Context, at address, h *handler.Handler, warm func(context.Context)) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at.String())
	if err != nil {
		return fmt.Errorf("HOST, PORT: %w", err)
	}
	slog.InfoContext(ctx, "serving CloudEvents by HTTP", "address", listener.Addr().String())
	warm(ctx)
	h.MaxRequests, h.MaxBytes = maxRequests, maxBytes
	return serveOn(ctx, listener, h)
}

// serveOn serves h until ctx ends. Then it takes no other requests and finishes those that it has.
func serveOn(ctx context.Context, listener net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      handler.HTTPTime + 30*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), handler.HTTPTime+5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(finish)
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// Both ends of a unary echo on grpc-go, taking and printing what the Python ends in benchmarks/stacks do:
//
//	grpc-go-bench serve            prints the port it listens on, runs until it is killed
//	grpc-go-bench client --port N --in-flight N --calls N --size BYTES   prints one JSON object of figures
//
// One core for Go's code, as for Python's: GOMAXPROCS is 1.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"meshkit.example/peers/grpcgobench/bench"
)

const (
	method  = "/bench.Echo/Unary"
	limit   = 20 * time.Second // of one run, whatever the number of calls; as in benchmarks/stacks/load.py
	timeout = 20 * time.Second // of one call
	warmUp  = 200
)

type figures struct {
	Rate float64 `json:"rate"`
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	CPU  float64 `json:"cpu"`
	Made int     `json:"made"`
}

func main() {
	runtime.GOMAXPROCS(1)
	if len(os.Args) < 2 {
		log.Fatal("usage: grpc-go-bench serve | client --port N [--in-flight N] [--calls N] [--size BYTES]")
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	port := flags.Int("port", 0, "where the server listens")
	inFlight := flags.Int("in-flight", 1, "calls at a time")
	calls := flags.Int("calls", 1000, "calls in all")
	size := flags.Int("size", 20, "bytes of the message's text")
	if err := flags.Parse(os.Args[2:]); err != nil {
		log.Fatal(err)
	}
	if os.Args[1] == "serve" {
		log.Fatal(serve())
	}
	if err := client(*port, *inFlight, *calls, *size); err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Echo",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: unary}},
	}, struct{}{})
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	return server.Serve(listener)
}

func unary(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	request := new(bench.Note)
	if err := decode(request); err != nil {
		return nil, err
	}
	return &bench.Note{Text: request.Text, Number: request.Number}, nil
}

func client(port, inFlight, calls, size int) error {
	channel, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer channel.Close()
	text := strings.Repeat("x", size)
	call := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		return channel.Invoke(ctx, method, &bench.Note{Text: text, Number: 1}, new(bench.Note))
	}
	warm := min(warmUp, calls/10+1)
	for range warm {
		if err := call(); err != nil {
			return err
		}
	}
	found, err := drive(call, inFlight, calls)
	if err != nil {
		return err
	}
	found.Made += warm
	return json.NewEncoder(os.Stdout).Encode(found)
}

// drive runs calls, inFlight at a time, each worker keeping its own times so that they share nothing but the count.
func drive(call func() error, inFlight, calls int) (figures, error) {
	var left atomic.Int64
	left.Store(int64(calls))
	taken := make([][]float64, inFlight)
	failures := make(chan error, inFlight)
	used, start := processTime(), time.Now()
	var workers sync.WaitGroup
	for worker := range inFlight {
		workers.Go(func() {
			for left.Add(-1) >= 0 && time.Since(start) < limit {
				before := time.Now()
				if err := call(); err != nil {
					failures <- err
					return
				}
				taken[worker] = append(taken[worker], float64(time.Since(before).Nanoseconds())/1e3)
			}
		})
	}
	workers.Wait()
	seconds, cpu := time.Since(start).Seconds(), processTime()-used
	select {
	case err := <-failures:
		return figures{}, err
	default:
		return summary(taken, seconds, cpu), nil
	}
}

func summary(taken [][]float64, seconds float64, cpu time.Duration) figures {
	var all []float64
	for _, some := range taken {
		all = append(all, some...)
	}
	sort.Float64s(all)
	count := len(all)
	return figures{
		Rate: float64(count) / seconds,
		P50:  all[count/2],
		P99:  all[min(count-1, count*99/100)],
		CPU:  float64(cpu.Nanoseconds()) / 1e3 / float64(count),
		Made: count,
	}
}

func processTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

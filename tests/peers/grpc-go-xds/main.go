// Calls through grpc-go's xDS client; the lines it reads and writes are described in tests/support/xds_caller.py.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	_ "google.golang.org/grpc/xds"
)

type wanted struct {
	Count    int
	Path     string
	Metadata map[string]string
}

// raw carries messages as the bytes they are.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(value any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*value.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, value any) error {
	*value.(*[]byte) = data.Materialize()
	return nil
}

var words = regexp.MustCompile("([a-z])([A-Z])")

// screaming is a status by its name in the specification: DeadlineExceeded is DEADLINE_EXCEEDED.
func screaming(code codes.Code) string {
	if code == codes.Canceled { // the specification writes it with two l
		return "CANCELLED"
	}
	return strings.ToUpper(words.ReplaceAllString(code.String(), "${1}_${2}"))
}

func call(connection *grpc.ClientConn, asked wanted) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ctx = metadata.NewOutgoingContext(ctx, metadata.New(asked.Metadata))
	request, reply := []byte{}, []byte{}
	if err := connection.Invoke(ctx, asked.Path, &request, &reply, grpc.ForceCodecV2(raw{})); err != nil {
		return screaming(status.Code(err))
	}
	return string(reply)
}

func main() {
	connection, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lines, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked wanted
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		counts := map[string]int{}
		for range asked.Count {
			counts[call(connection, asked)]++
		}
		_ = out.Encode(counts)
	}
}

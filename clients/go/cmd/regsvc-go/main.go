// Command regsvc-go pushes, pulls and watches models in a regsvc registry. It is an example of package
// registry, and what the tests run against other languages' clients.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode"

	"regsvc.dev/go/registry"
)

const usage = `usage: regsvc-go [--server HOST:PORT] [--patience DURATION] COMMAND

  push DIR [NS/]MODEL [--alias A]...   make the files of a folder the next version
  pull REF DEST                        bring a version into a missing or empty folder
  logs BUILD [-f] [--after N]          print the log of a build; with -f until it has ended
  events [--after N] [--limit N]       print changes of the registry as they happen
  search FILTER [--order-by F] [--limit N]
                                       print versions that a CEL expression finds
  compare REF REF                      print what differs between two versions
  vectors DIR                          check this client against the golden vectors

Results are JSON on stdout: one document, or one line an item for logs, events and search.
REF is [regsvc://host[:port]/][NS/]MODEL[:N | @ALIAS | @b3:DIGEST].
`

// Exit statuses.
const (
	statusFailed      = 1
	statusUsage       = 2
	statusInterrupted = 130
)

// settings come before the command.
type settings struct {
	server   string
	patience time.Duration
}

// command runs with the arguments after its name.
type command func(ctx context.Context, s settings, args []string) error

var commands = map[string]command{
	"push":    push,
	"pull":    pull,
	"logs":    logs,
	"events":  events,
	"search":  search,
	"compare": compare,
	"vectors": checkVectors,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	os.Exit(status(err))
}

func run(ctx context.Context, args []string) error {
	s := settings{server: os.Getenv("REGSVC_ENDPOINT")}
	if s.server == "" {
		s.server = "127.0.0.1:7070"
	}
	flags := newFlags("regsvc-go")
	flags.StringVar(&s.server, "server", s.server, "")
	flags.DurationVar(&s.patience, "patience", time.Minute, "")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Print(usage)
		return nil
	} else if err != nil {
		return usageError(err.Error())
	}
	if flags.NArg() == 0 {
		return usageError("expected a command")
	}
	run, known := commands[flags.Arg(0)]
	if !known {
		return usageError(fmt.Sprintf("unknown command %q", flags.Arg(0)))
	}
	return run(ctx, s, flags.Args()[1:])
}

// dial connects to the server of the settings, or to the one that a reference names.
func (s settings) dial(named string) (*registry.Client, error) {
	if named == "" {
		named = s.server
	}
	client, err := registry.Dial(named)
	if err != nil {
		return nil, err
	}
	client.Patience = s.patience
	return client, nil
}

func newFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // status prints every error, once
	return flags
}

// parse gives exactly `count` positional arguments. Flags may stand before, between and after them.
func parse(flags *flag.FlagSet, args []string, count int) ([]string, error) {
	var positional []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, usageError(flags.Name() + ": " + err.Error())
		}
		if flags.NArg() == 0 {
			break
		}
		positional = append(positional, flags.Arg(0))
		args = flags.Args()[1:]
	}
	if len(positional) != count {
		return nil, usageError(fmt.Sprintf("%s takes %d arguments, not %d", flags.Name(), count, len(positional)))
	}
	return positional, nil
}

// usageError is a command line that makes no sense.
type usageError string

func (e usageError) Error() string { return string(e) }

// status prints an error in one line and gives the exit status it stands for.
func status(err error) int {
	if err == nil {
		return 0
	}
	if wrong, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(os.Stderr, "regsvc-go: %s\n%s", wrong, usage)
		return statusUsage
	}
	// A server's message may hold anything; a terminal obeys control characters.
	line := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, err.Error())
	fmt.Fprintf(os.Stderr, "regsvc-go: %s\n", line)
	if errors.Is(err, context.Canceled) {
		return statusInterrupted
	}
	return statusFailed
}

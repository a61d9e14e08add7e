// What programs do with Go's two drivers: a small shop, once through database/sql and lib/pq, once with pgx.
// The connection's parameters come from the environment (PGHOST, PGPORT, PGUSER, PGDATABASE).
package main

import (
	"fmt"
	"os"
	"reflect"
)

// What a check panics with.
type failure string

func must(err error) {
	if err != nil {
		panic(failure(err.Error()))
	}
}

func equal(got, wanted interface{}, what string) {
	if !reflect.DeepEqual(got, wanted) {
		panic(failure(fmt.Sprintf("%s: %#v instead of %#v", what, got, wanted)))
	}
}

func run(driver, name string, check func()) (passed bool) {
	defer func() {
		problem := recover()
		if problem == nil {
			passed = true
			return
		}
		message, expected := problem.(failure)
		if !expected {
			panic(problem)
		}
		fmt.Fprintf(os.Stderr, "%s: %s: %s\n", driver, name, message)
	}()
	check()
	return
}

type check struct {
	name string
	body func()
}

func main() {
	failed := 0
	for driver, checks := range map[string][]check{"lib/pq": pqChecks(), "pgx": pgxChecks()} {
		for _, each := range checks {
			if !run(driver, each.name, each.body) {
				failed++
			}
		}
	}
	if failed > 0 {
		fmt.Fprintf(os.Stderr, "go: %d checks failed\n", failed)
		os.Exit(1)
	}
	fmt.Println("go: passed")
}

package expression

import (
	"errors"
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"k8s.io/apiserver/pkg/cel/library"
)

// Costs are CEL's own units, of which Kubernetes reckons ten million to a second.
const (
	// maxCost bounds one expression: what it is reckoned to cost when it is compiled, and what it costs when it is run.
	maxCost = 200_000
	// maxRequest bounds all expressions of one request.
	maxRequest = 500_000
	// assumedItems and assumedLength are as many items and characters as lists, maps and text are reckoned to have when an
	// expression is compiled. What has more is met by the limit when it is run.
	assumedItems  = 50
	assumedLength = 100
)

// Budget is what the expressions of one request may still cost together.
type Budget struct{ spent uint64 }

var errTooDear = errors.New("costs too much for this server: walk through fewer or shorter lists")

// affordable refuses an expression that could cost too much.
func affordable(env *cel.Env, ast *cel.Ast) error {
	estimate, err := env.EstimateCost(ast, &library.CostEstimator{SizeEstimator: sizes{}})
	if err != nil {
		return fmt.Errorf("its cost can't be reckoned: %w", err)
	}
	if estimate.Max > maxCost {
		return fmt.Errorf("may cost %d, and %d is the limit: walk through fewer lists inside each other", estimate.Max, maxCost)
	}
	return nil
}

// sizes are what lists and text are reckoned to have.
type sizes struct{}

// EstimateSize gives the size of what CEL itself can't reckon: a variable, something in it, or what a function makes of it.
func (sizes) EstimateSize(node checker.AstNode) *checker.SizeEstimate {
	limit := uint64(assumedItems)
	if node.Type().Kind() == cel.StringKind {
		limit = assumedLength
	}
	return &checker.SizeEstimate{Min: 0, Max: limit}
}

// EstimateCallCost leaves calls to CEL and to Kubernetes' libraries.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

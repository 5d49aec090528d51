package storage_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// statement is how a query begins; SET takes no parameters and cannot be
// prepared together with another.
var statement = regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b`)

// source is the package as it is written.
type source struct {
	files     *token.FileSet
	constants map[string]ast.Expr
	whole     map[ast.Expr]string // every expression that is text through and through
	dynamic   []string            // where a query is put together when it runs
}

// TestEveryStatementPrepares hands every query of the package to PostgreSQL,
// which knows the schema. Those put together when they run, the lists with
// filters, have tests of their own.
func TestEveryStatementPrepares(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	src := readSource(t)
	prepared := 0
	for at, query := range src.whole {
		if !statement.MatchString(query) {
			continue
		}
		stmt, err := h.DB().PrepareContext(h.ctx, query)
		if err != nil {
			t.Errorf("%s: %v", src.files.Position(at.Pos()), err)
			continue
		}
		stmt.Close()
		prepared++
	}
	t.Logf("%d statements prepared; put together at run time: %s", prepared, strings.Join(src.dynamic, ", "))
	if prepared < 100 {
		t.Errorf("only %d statements found", prepared)
	}
	if len(src.dynamic) > 10 {
		t.Errorf("%d statements are put together at run time: %s", len(src.dynamic), strings.Join(src.dynamic, ", "))
	}
}

func readSource(t *testing.T) *source {
	t.Helper()
	src := &source{files: token.NewFileSet(), constants: map[string]ast.Expr{}, whole: map[ast.Expr]string{}}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var parsed []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(src.files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
		src.readConstants(file)
	}
	for _, file := range parsed {
		ast.Inspect(file, src.visit)
	}
	return src
}

func (src *source) readConstants(file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		decl, ok := n.(*ast.GenDecl)
		if !ok || decl.Tok != token.CONST {
			return true
		}
		for _, spec := range decl.Specs {
			value := spec.(*ast.ValueSpec)
			for i, v := range value.Values {
				src.constants[value.Names[i].Name] = v
			}
		}
		return true
	})
}

// visit notes the outermost text of every expression. Parts of one, such as a
// list of columns or the tail of a query, are none by themselves.
func (src *source) visit(n ast.Node) bool {
	if decl, ok := n.(*ast.GenDecl); ok && decl.Tok == token.CONST {
		return false // seen where they are used
	}
	e, ok := n.(ast.Expr)
	if !ok {
		return true
	}
	if text, ok := src.text(e); ok {
		src.whole[e] = text
		return false
	}
	if sum, ok := e.(*ast.BinaryExpr); ok && sum.Op == token.ADD {
		if begin, ok := src.text(leftmost(sum)); ok && statement.MatchString(begin) {
			src.dynamic = append(src.dynamic, src.files.Position(e.Pos()).String())
			return false
		}
	}
	return true
}

func leftmost(e ast.Expr) ast.Expr {
	for {
		sum, ok := e.(*ast.BinaryExpr)
		if !ok {
			return e
		}
		e = sum.X
	}
}

// text is what an expression of string constants comes to.
func (src *source) text(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.Ident:
		if value, ok := src.constants[e.Name]; ok {
			return src.text(value)
		}
	case *ast.BinaryExpr:
		x, okX := src.text(e.X)
		y, okY := src.text(e.Y)
		return x + y, e.Op == token.ADD && okX && okY
	}
	return "", false
}

// Renders a Helm chart with Go's own templates and Sprig, as helm template does,
// where there is no helm:
//
//	helm-template CHART RELEASE VALUES.yaml
//
// What the chart needs of Helm's own functions is here: include, required,
// fail, toYaml.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"gopkg.in/yaml.v3"
)

type values = map[string]interface{}

func read(path string) values {
	text, err := os.ReadFile(path)
	check(err)

	v := values{}
	check(yaml.Unmarshal(text, &v))
	return v
}

func merge(to, from values) values {
	for name, value := range from {
		a, left := to[name].(values)
		b, right := value.(values)

		if left && right {
			to[name] = merge(a, b)
		} else {
			to[name] = value
		}
	}

	return to
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	chart, release := os.Args[1], os.Args[2]

	about := read(filepath.Join(chart, "Chart.yaml"))
	data := values{
		"Values":   merge(read(filepath.Join(chart, "values.yaml")), read(os.Args[3])),
		"Release":  values{"Name": release, "Service": "Helm", "Namespace": "default"},
		"Chart":    values{"Name": about["name"], "Version": about["version"], "AppVersion": about["appVersion"]},
		"Template": values{"BasePath": "templates"},
	}

	all := template.New("chart").Option("missingkey=zero")

	functions := sprig.TxtFuncMap()
	functions["include"] = func(name string, data interface{}) (string, error) {
		var out strings.Builder
		err := all.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	functions["required"] = func(message string, value interface{}) (interface{}, error) {
		list, isList := value.([]interface{})
		if value == nil || value == "" || isList && len(list) == 0 {
			return nil, errors.New(message)
		}
		return value, nil
	}
	functions["fail"] = func(message string) (string, error) { return "", errors.New(message) }
	functions["toYaml"] = func(value interface{}) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	all.Funcs(functions)

	files, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	check(err)

	for _, file := range files {
		text, err := os.ReadFile(file)
		check(err)
		_, err = all.New("templates/" + filepath.Base(file)).Parse(string(text))
		check(err)
	}

	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "_") {
			continue
		}
		fmt.Println("---")
		check(all.ExecuteTemplate(os.Stdout, "templates/"+filepath.Base(file), data))
	}
}

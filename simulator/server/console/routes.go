package console

import (
	"net/http"
	"strings"
)

// route is one line of what there is: where, who may, and what is done.
type route struct {
	pattern string // a method and a path below Root
	least   Role
	do      func(*visit) error
}

func routeTable() []route {
	return []route{
		{"GET sign-in", Nobody, (*visit).signInPage},
		{"POST sign-in", Nobody, (*visit).signIn},
		{"POST sign-out", Viewer, (*visit).signOut},
		{"GET first", Nobody, (*visit).firstPage},
		{"POST first", Nobody, (*visit).first},
		{"POST theme", Nobody, (*visit).theme},

		{"GET events", Viewer, (*visit).news},
		{"GET {$}", Viewer, (*visit).overview},
		{"GET products", Viewer, (*visit).productsPage},
		{"GET products/new", Operator, (*visit).newProduct},
		{"POST products/new", Operator, (*visit).makeProduct},
		{"GET products/{product}", Viewer, (*visit).productPage},
		{"POST products/{product}/rules", Operator, (*visit).setRules},
		{"POST products/{product}/delete", Admin, (*visit).deleteProduct},

		{"GET devices", Viewer, (*visit).devicesPage},
		{"GET devices/new", Operator, (*visit).newDevices},
		{"POST devices/new", Operator, (*visit).makeDevices},
		{"GET devices/template.csv", Viewer, (*visit).deviceTemplate},
		{"GET devices/export.csv", Operator, (*visit).exportDevices},
		{"GET devices/{product}/{name}", Viewer, (*visit).devicePage},
		{"GET devices/{product}/{name}/timeline", Viewer, (*visit).timeline},
		{"GET devices/{product}/{name}/timeline/events", Viewer, (*visit).timelineEvents},
		{"POST devices/{product}/{name}/disable", Operator, (*visit).disableDevice},
		{"POST devices/{product}/{name}/delete", Operator, (*visit).deleteDevice},

		{"GET groups", Viewer, (*visit).groupsPage},
		{"POST groups", Operator, (*visit).makeGroup},
		{"GET groups/{group}", Viewer, (*visit).groupPage},
		{"POST groups/{group}/devices", Operator, (*visit).changeGroup},
		{"POST groups/{group}/delete", Operator, (*visit).deleteGroup},

		{"GET ota", Viewer, (*visit).packagesPage},
		{"GET modules", Viewer, (*visit).modulesPage},
		{"GET modules/new", Operator, (*visit).newModule},
		{"POST modules/new", Operator, (*visit).makeModule},
		{"GET modules/{product}/{name}", Operator, (*visit).editModule},
		{"POST modules/{product}/{name}", Operator, (*visit).changeModule},
		{"POST modules/{product}/{name}/delete", Operator, (*visit).deleteModule},
		{"GET versions", Viewer, (*visit).versionsPage},
		{"GET versions/{product}/history.json", Viewer, (*visit).versionsHistory},
		{"POST versions/{product}/sample", Operator, (*visit).sampleVersions},
		{"GET security", Viewer, (*visit).securityPage},
		{"POST security/{product}", Admin, (*visit).setSecurity},

		{"GET packages/new", Operator, (*visit).newPackage},
		{"POST packages/new", Operator, (*visit).makePackage},
		{"GET packages/{package}", Viewer, (*visit).packagePage},
		{"POST packages/{package}", Operator, (*visit).changePackage},
		{"POST packages/{package}/delete", Operator, (*visit).deletePackage},
		{"POST packages/{package}/patch", Operator, (*visit).makePatch},
		{"GET packages/{package}/verify", Operator, (*visit).verifyPage},
		{"POST packages/{package}/verify", Operator, (*visit).verify},
		{"GET packages/{package}/batch", Operator, (*visit).batchForm},
		{"POST packages/{package}/batch", Operator, (*visit).makeBatch},

		{"GET batches", Viewer, (*visit).batchesPage},
		{"GET batches/{batch}", Viewer, (*visit).batchPage},
		{"GET batches/{batch}/tasks.csv", Viewer, (*visit).exportTasks},
		{"GET batches/{batch}/progress.json", Viewer, (*visit).progress},
		{"GET batches/{batch}/progress.csv", Viewer, (*visit).progressTable},
		{"GET batches/{batch}/events", Viewer, (*visit).events},
		{"POST batches/{batch}/rate", Operator, (*visit).changeRate},
		{"GET batches/{batch}/cancel", Operator, (*visit).cancelPage},
		{"POST batches/{batch}/cancel", Operator, (*visit).cancel},
		{"GET batches/{batch}/pause", Operator, (*visit).pausePage},
		{"POST batches/{batch}/pause", Operator, (*visit).pause},
		{"POST batches/{batch}/resume", Operator, (*visit).resume},
		{"POST batches/{batch}/stop", Operator, (*visit).changeStop},
		{"POST batches/{batch}/retry", Operator, (*visit).retry},
		{"POST batches/{batch}/confirm", Operator, (*visit).confirm},

		{"GET audit", Admin, (*visit).auditPage},
		{"GET settings", Admin, (*visit).settingsPage},
		{"POST settings/keys", Admin, (*visit).makeKey},
		{"POST settings/keys/remove", Admin, (*visit).removeKey},
		{"POST settings/users", Admin, (*visit).makeUser},
		{"POST settings/users/remove", Admin, (*visit).removeUser},
		{"GET password", Viewer, (*visit).passwordPage},
		{"POST password", Viewer, (*visit).setPassword},
	}
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range routeTable() {
		method, path, _ := strings.Cut(r.pattern, " ")
		mux.Handle(method+" "+Root+path, s.serve(r.least, r.do))
	}
	mux.HandleFunc("GET "+Root+"static/{name}", s.assets.serve)
	mux.Handle(Root, s.serve(Viewer, func(*visit) error { return trouble(http.StatusNotFound, "error.path") }))
	return mux
}

% best, results = seen.best, seen.search.results
% row = results.get("mended", {})
<section class="cards" aria-label="The search at a glance">
<div class="card best"><h2>{{"Mended network" if "accuracy" in row else "Best network so far" if seen.live else "Best network"}}</h2>
% if "accuracy" in row:
<div class="big" id="best">{{words.percent(row["accuracy"], 2)}}</div>
<p>test accuracy, fine-tuned; dense {{words.percent(results.get("dense", {}).get("accuracy"), 2)}}</p>
% if seen.chosen is not None:
<p><a href="{{page.base}}trial/{{seen.chosen.number}}">trial {{seen.chosen.number}}</a>, score {{words.score(seen.chosen.score)}}, {{words.score(row.get("score"))}} once refined</p>
% end
% for name in ("uniform", "pre_pruned"):
% if "accuracy" in results.get(name, {}):
<p>{{titles[name]}} <strong>{{words.percent(results[name]["accuracy"], 2)}}</strong></p>
% end
% end
% elif best is not None:
<div class="big" id="best">{{words.score(best.score)}}</div>
<p>score of <a href="{{page.base}}trial/{{best.number}}">trial {{best.number}}</a>, {{words.plural(seen.since_best, "trial")}} ago{{"" if seen.search.structure.dense_score is None else "; dense " + words.score(seen.search.structure.dense_score)}}</p>
% if best.top1_agreement is not None:
<p><strong>{{words.percent(best.top1_agreement)}}</strong> of validation images get the class of {{seen.search.structure.yardstick}}</p>
% end
% for name, value in seen.controls.items():
<p>{{titles[name]}} <strong>{{words.score(value)}}</strong> ({{words.signed(best.score - value)}})</p>
% end
% else:
<div class="big" id="best">–</div><p>no score yet</p>
% end
% macs, dense = row.get("macs", best.macs if best else None), seen.search.structure.dense or results.get("dense", {})
% params = row.get("params", best.params if best else None)
% costs = [(words.amount(value), name, value / dense[key]) for key, name, value in (("macs", "MACs", macs), ("params", "parameters", params)) if value and dense.get(key)]
% if costs:
<p>{{!"; ".join(f"{amount} {name}, <strong>{words.percent(part)}</strong>" for amount, name, part in costs)}} of dense</p>
% end
</div>
<div class="card moved"><h2>What mending changed</h2>
% if seen.changes:
% wider = sum(change.kept > change.control for change in seen.changes)
% narrower = sum(change.kept < change.control for change in seen.changes)
<div class="big">{{wider}} wider, {{narrower}} narrower</div>
<p>of {{len(seen.changes)}} coupling groups, against pre-pruned; most:</p>
<ul class="moves">
% for change in movers(seen.changes, 4):
<li><span title="{{change.group}}">{{change.group}}</span><span>{{change.control}} → <strong>{{change.kept}}</strong> of {{change.width}}</span></li>
% end
</ul>
<p><a href="{{page.base}}network">the whole network</a></p>
% elif seen.search.wanted is None and not seen.search.structure.widths:
<div class="big">–</div><p>a study of stock Optuna: its parameters are in <a href="/dashboard/studies/{{seen.search.study_id}}">Optuna Dashboard</a></p>
% else:
<div class="big">–</div><p>not known before the first score</p>
% end
</div>
<div class="card"><h2>Fleet</h2>
% crew = seen.crew
% if crew.all:
% if seen.live:
<div class="big">{{crew.alive or "none"}} alive</div>
% if crew.hosts:
<p>on {{words.plural(crew.hosts, "host")}}; <strong>{{words.count(3600 * seen.pace.rate) if seen.pace.rate and seen.state == "running" else "–"}}</strong> trials an hour</p>
% end
% else:
<div class="big">{{words.plural(crew.all, "worker")}}</div><p>all have ended</p>
% end
% for number, text in ((crew.silent, "silent"), (crew.lost, "lost, their work taken up by others"), (crew.set_aside, "candidate set aside" if crew.set_aside == 1 else "candidates set aside")):
% if number:
<p>{{number}} {{text}}</p>
% end
% end
<p><a href="{{page.base}}fleet">the fleet</a></p>
% else:
<div class="big">{{"no worker yet" if seen.search.wanted else "not known"}}</div>
% if seen.pace.rate and seen.state == "running":
<p><strong>{{words.count(3600 * seen.pace.rate)}}</strong> trials an hour</p>
% end
% end
</div>
<div class="card"><h2>When it ends</h2>
% if seen.state == "finished":
<div class="big">it has ended</div>
% if seen.pace.last:
<p>at <time datetime="{{words.moment(seen.pace.last)}}">{{words.moment(seen.pace.last)}}</time></p>
% end
% elif seen.left_s is not None:
<div class="big">in {{words.span(seen.left_s)}}</div>
<p>at about <time datetime="{{words.moment(seen.pace.now + timedelta(seconds=seen.left_s))}}"></time>, at the pace of late</p>
% else:
<div class="big">{{overview.ending(seen)}}</div>
% end
% if seen.pace.first and seen.pace.last:
% if seen.state in ("running", "stuck", "stopping"):
<p>began {{words.span((seen.pace.now - seen.pace.first).total_seconds())}} ago</p>
% else:
<p>{{words.span((seen.pace.last - seen.pace.first).total_seconds())}} from the first trial to the last</p>
% end
% end
% early = seen.pace.states.get("stopped_early", 0)
% if early:
<p><strong>{{words.percent(early / max(1, seen.pace.done), 0)}}</strong> of trials stopped early</p>
% end
% if seen.pace.states.get("failed"):
<p>{{words.plural(seen.pace.states["failed"], "attempt")}} failed</p>
% end
</div>
</section>

% best, result = seen.best, seen.search.result
<section class="cards" aria-label="The search at a glance">
<div class="card best"><h2>{{("Mended network" if result.mending_paid else "Exported network: " + title_of(result.exported)) if result else "Best network so far" if seen.live else "Best network"}}</h2>
% if result:
<div class="big" id="best">{{words.figure(result.figures[result.exported], result)}}</div>
<p>test {{result.figure_name}}{{", fine-tuned" if result.winner.part else ""}}; dense {{words.figure(result.figures["dense"], result)}}</p>
% if seen.chosen is not None:
<p><a href="{{page.base}}trial/{{seen.chosen.number}}">trial {{seen.chosen.number}}</a>, score {{words.score(seen.chosen.score)}}, {{words.score(result.winner.score)}} once refined</p>
% end
% for name in result.main_controls:
<p>{{title_of(name)}} <strong>{{words.figure(result.figures[name], result)}}</strong></p>
% end
% elif best is not None:
<div class="big" id="best">{{words.score(best.score)}}</div>
<p>score of <a href="{{page.base}}trial/{{best.number}}">trial {{best.number}}</a>, {{words.plural(seen.since_best, "trial")}} ago{{"" if seen.search.structure.dense_score is None else "; dense " + words.score(seen.search.structure.dense_score)}}</p>
% if best.top1_agreement is not None:
<p>{{words.agreeing(best.top1_agreement, seen.search.structure)}}</p>
% end
% for name, value in seen.controls.items():
<p>{{title_of(name)}} <strong>{{words.score(value)}}</strong> ({{words.signed(best.score - value)}})</p>
% end
% else:
<div class="big" id="best">–</div><p>no score yet</p>
% end
% macs, params = (result.winner.macs, result.winner.params) if result else (best.macs, best.params) if best else (None, None)
% dense = seen.search.structure.dense or ({"macs": result.dense.macs, "params": result.dense.params} if result else {})
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
<p>of {{len(seen.changes)}} coupling groups, compared with pre-pruned; largest changes:</p>
<ul class="moves">
% for change in movers(seen.changes, 4):
<li><span title="{{change.group}}">{{change.group}}</span><span>{{change.control}} → <strong>{{change.kept}}</strong> of {{change.width}}</span></li>
% end
</ul>
<p><a href="{{page.base}}network">the whole network</a></p>
% elif seen.search.wanted is None and not seen.search.structure.widths:
<div class="big">–</div><p>a study of stock Optuna: see its parameters in <a href="/dashboard/studies/{{seen.search.study_id}}">Optuna Dashboard</a></p>
% else:
<div class="big">–</div><p>known after the first score</p>
% end
</div>
<div class="card"><h2>Fleet</h2>
% fleet = seen.fleet
% if fleet.all:
% if seen.live:
<div class="big">{{fleet.alive or "none"}} alive</div>
% if fleet.hosts:
<p>on {{words.plural(fleet.hosts, "host")}}; <strong>{{words.count(3600 * seen.pace.rate) if seen.pace.rate and seen.state == "running" else "–"}}</strong> trials per hour</p>
% end
% else:
<div class="big">{{words.plural(fleet.all, "worker")}}</div><p>all have ended</p>
% end
% for number, text in ((fleet.silent, "silent"), (fleet.lost, "lost, their candidates scored by others"), (fleet.set_aside, "candidate set aside" if fleet.set_aside == 1 else "candidates set aside")):
% if number:
<p>{{number}} {{text}}</p>
% end
% end
<p><a href="{{page.base}}fleet">the fleet</a></p>
% else:
<div class="big">{{"no worker yet" if seen.search.wanted else "not known"}}</div>
% if seen.pace.rate and seen.state == "running":
<p><strong>{{words.count(3600 * seen.pace.rate)}}</strong> trials per hour</p>
% end
% end
</div>
<div class="card"><h2>When it ends</h2>
% if seen.state == "finished":
<div class="big">finished</div>
% if seen.pace.last:
<p>at <time datetime="{{words.moment(seen.pace.last)}}">{{words.moment(seen.pace.last)}}</time></p>
% end
% elif seen.left_s is not None:
<div class="big">in {{words.span(seen.left_s)}}</div>
<p>at about <time datetime="{{words.moment(seen.pace.now + timedelta(seconds=seen.left_s))}}"></time>, at the recent pace</p>
% else:
<div class="big">{{overview.ending(seen)}}</div>
% end
% if seen.pace.first and seen.pace.last:
% if seen.state in ("running", "stuck", "stopping"):
<p>started {{words.span((seen.pace.now - seen.pace.first).total_seconds())}} ago</p>
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

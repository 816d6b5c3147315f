% best, chosen, dense = seen.best, seen.chosen, structure.dense
% if trial is None:
<p class="empty">{{"There is no trial %d in this search." % number if number is not None else "No trial has a score yet."}}</p>
% else:
<section class="cards" aria-label="Trial {{trial.number}}">
<div class="card"><h2>Trial {{trial.number}}</h2><div class="big">{{words.score(trial.score)}}</div>
<p>{{"expected score, stopped early" if trial.state == "pruned" else "score" if trial.state == "complete" else {"fail": "the attempt failed", "running": "being scored"}.get(trial.state, trial.state)}}</p>
% if trial.top1_agreement is not None and trial.state == "complete":
<p>{{words.agreeing(trial.top1_agreement, structure)}}</p>
% end
</div>
% if best is not None:
<div class="card"><h2>Compared with the best</h2>
% if best.number == trial.number:
<div class="big">the best</div><p>of {{words.count(seen.pace.done)}} trials, by score</p>
% else:
<div class="big">{{words.signed(trial.score - best.score) if trial.score is not None and best.score is not None else "–"}}</div>
<p><a href="{{base}}trial/{{best.number}}">trial {{best.number}}</a> has {{words.score(best.score)}}</p>
% end
% if chosen is not None and chosen.number == trial.number:
<p><strong>it became the mended network</strong></p>
% elif chosen is not None:
<p><a href="{{base}}trial/{{chosen.number}}">trial {{chosen.number}}</a> became the mended network</p>
% end
</div>
% end
% part = f", {words.percent(trial.macs / dense['macs'])} of dense" if trial.macs and dense.get("macs") else ""
<div class="card"><h2>Cost</h2><div class="big">{{words.amount(trial.macs)}}</div><p>MACs{{part}}; {{words.amount(trial.params)}} parameters</p></div>
<div class="card"><h2>Scored</h2><div class="big">{{words.span(trial.seconds)}}</div><p>
% if worker is not None:
by worker {{worker.ordinal}} on {{worker.host}} {{worker.device}},
% end
% if trial.ended:
ended <time datetime="{{words.moment(trial.ended)}}">{{words.moment(trial.ended)}}</time>
% elif trial.started:
started <time datetime="{{words.moment(trial.started)}}">{{words.moment(trial.started)}}</time>
% end
</p></div></section>
<form class="progress other" method="get" action="{{base}}trial"><label>Another trial <input name="number" type="number" min="0" value="{{trial.number}}" size="8"></label> <button>Show</button>
% if trial.number > 0:
<a href="{{base}}trial/{{trial.number - 1}}">previous</a>
% end
<a href="{{base}}trial/{{trial.number + 1}}">next</a></form>
% if trial.failed:
<section class="panel whole"><h2>Log of the attempt</h2><pre tabindex="0">{{trial.failed}}</pre></section>
% end
% end

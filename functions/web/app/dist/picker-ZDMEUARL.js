import{a as t,b as r}from"/app/chunk-DR2P4HW5.js";import"/app/chunk-2QTP3ECP.js";import{Ia as m,a as o}from"/app/chunk-I5GU6DR7.js";var p=o(()=>{m();r()});p();export{t as pickFolder};
